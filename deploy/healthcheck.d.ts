export function healthUrl(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): string | null;

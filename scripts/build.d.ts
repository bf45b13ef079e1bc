/** Bundles the program into dist/. */
export function buildAll(): Promise<void>;

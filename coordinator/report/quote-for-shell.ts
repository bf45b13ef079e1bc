/** A word as a shell takes it for one, whatever is in it. */
export function quoteForShell(word: string, platform: string = process.platform): string {
  // A # begins a comment at the start of a word only.
  if (/^[\w@%+=:,./-][\w@%+=:,./#-]*$/.test(word)) return word;
  // There are no escapes in double quotes of cmd.exe, nor double quotes in names of its files.
  return platform === 'win32' ? `"${word}"` : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Quotes a word so that a shell reads it as one argument. */
export function quoteForShell(word: string, platform: string = process.platform): string {
  // A # starts a comment only at the start of a word.
  if (/^[\w@%+=:,./-][\w@%+=:,./#-]*$/.test(word)) return word;
  // cmd.exe has no escapes within double quotes, and Windows has no double quotes in file names.
  return platform === 'win32' ? `"${word}"` : `'${word.replaceAll("'", "'\\''")}'`;
}

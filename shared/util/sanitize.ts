/** Characters that move a terminal's cursor or reverse its text, and line breaks. */
// oxlint-disable-next-line no-control-regex -- removing control characters is the purpose
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+/g;

/** Text from another machine, safe to print: a space replaces characters that control a terminal. */
export function sanitizeForTerminal(text: string): string {
  return text.replace(CONTROL_CHARACTERS, ' ');
}

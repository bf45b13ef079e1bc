/** What could move a terminal's cursor or turn its text round, and line breaks: nothing of it belongs in a sentence. */
// oxlint-disable-next-line no-control-regex -- these are just what must not get through
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+/g;

/** A text of somebody else's for people to read: a space in place of what a terminal would act on. */
export function sanitizeForTerminal(text: string): string {
  return text.replace(CONTROL_CHARACTERS, ' ');
}

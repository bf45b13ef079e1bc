/** Below this probability of the most likely class the model takes a scribble for a digit. */
const MIN_SURE = 0.6;

/** What the model reads, in a sentence. @param probabilities by class */
export function guessText(probabilities: readonly number[]): string {
  const most = Math.max(...probabilities);
  const best = probabilities.indexOf(most);
  return most >= MIN_SURE ? `The model reads ${best}.` : `The model is not sure: perhaps ${best}.`;
}

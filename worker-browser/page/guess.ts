/** Below this probability of the most likely class the model takes a scribble for a digit. */
const MIN_CONFIDENCE = 0.6;

/** What the model reads, in a sentence. @param probabilities by class */
export function describePrediction(probabilities: readonly number[]): string {
  const most = Math.max(...probabilities);
  const best = probabilities.indexOf(most);
  return most >= MIN_CONFIDENCE ? `The model reads ${best}.` : `The model is not sure: perhaps ${best}.`;
}

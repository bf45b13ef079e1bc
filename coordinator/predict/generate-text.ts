import { DataError } from '../../shared/data/data-error.ts';
import type { Preprocessing } from '../../shared/data/preprocessing.ts';
import type { GradientComputer } from '../../shared/engine/engine.ts';
import { Purpose, randomStream, type RandomStream } from '../../shared/random/stream.ts';
import { openTokenizer } from '../data/text/tokenizer.ts';
import { mostLikely } from './output-reader.ts';
import type { PredictingModel } from './inputs.ts';

export interface GenerateOptions {
  /** Text that the model continues. */
  readonly prompt: string;
  /** Number of tokens to generate. */
  readonly tokens: number;
  /** Probabilities are raised to 1 / temperature: below 1, likely tokens become likelier; at 0, the likeliest is taken. */
  readonly temperature: number;
  readonly seed: number;
  /** Called after each token. */
  readonly progress: (done: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Continuation of a prompt. */
export interface GeneratedText {
  readonly text: string;
  /** Tokens of the prompt that the training text lacks. */
  readonly unknown: number;
}

/** Preprocessing of a model that predicts the next token of each; null for other models. */
export function nextTokenPreprocessing({
  job,
  metadata: { preprocessing },
}: PredictingModel): Extract<Preprocessing, { kind: 'text' }> | null {
  if (preprocessing?.kind !== 'text' || preprocessing.column !== undefined) return null;
  const [output, ...others] = job.outputs;
  const [length, vocabulary, ...inner] = output?.shape ?? [];
  const fits = length === preprocessing.length && vocabulary !== undefined && inner.length === 0;
  return fits && others.length === 0 ? preprocessing : null;
}

/**
 * Continues a text token by token with a model of next tokens. The same seed gives the same text with the same engine.
 * @param computer has the model's weights
 * @throws DataError if the prompt has no token
 * @example
 * ```ts
 * const { text } = await generateText(computer, model, { prompt: 'ROMEO:', tokens: 200, temperature: 0.8, seed: 1, progress });
 * ```
 */
export async function generateText(
  computer: Pick<GradientComputer, 'predict'>,
  model: PredictingModel,
  { prompt, tokens, temperature, seed, progress, signal }: GenerateOptions,
): Promise<GeneratedText> {
  const preprocessing = nextTokenPreprocessing(model);
  if (preprocessing === null) throw new DataError('The model does not predict next tokens of a text.');
  const { length, tokenizer } = preprocessing;
  const { encode, decode, firstToken, unit } = await openTokenizer(tokenizer);
  const ids = Array.from(encode(prompt));
  const known = ids.filter((id) => id >= firstToken).length;
  if (known === 0) {
    throw new DataError(
      `The prompt has no ${unit} that the training text has. Begin with some text of its kind: --text "..."`,
    );
  }
  const given = ids.length;
  const random = randomStream(seed, Purpose.textGeneration);
  while (ids.length < given + tokens && signal?.aborted !== true) {
    const context = ids.slice(-length);
    // Tokens behind the last one do not change what a causal model says there.
    const input = new Int32Array(length);
    input.set(context);
    const probabilities = await computer.predict([input], 1);
    const vocabulary = probabilities.length / length;
    const at = (context.length - 1) * vocabulary;
    ids.push(drawToken(probabilities.subarray(at, at + vocabulary), { temperature, random, firstToken }));
    progress(ids.length - given);
  }
  return { text: decode(ids.slice(given)), unknown: given - known };
}

export interface DrawOptions {
  readonly temperature: number;
  readonly random: Pick<RandomStream, 'uniform'>;
  /** Ids below are not drawn. */
  readonly firstToken: number;
}

/** Id of a token, drawn by the probabilities of all. */
export function drawToken(
  probabilities: Float32Array,
  { temperature, random, firstToken }: DrawOptions,
): number {
  const tokens = probabilities.subarray(firstToken);
  const best = mostLikely(tokens);
  if (temperature === 0) return firstToken + best;
  const largest = Math.log(tokens[best] as number);
  const weights = Array.from(tokens, (p) => (p > 0 ? Math.exp((Math.log(p) - largest) / temperature) : 0));
  let rest = random.uniform() * weights.reduce((sum, weight) => sum + weight, 0);
  const drawn = weights.findIndex((weight) => (rest -= weight) < 0);
  return firstToken + (drawn < 0 ? best : drawn);
}

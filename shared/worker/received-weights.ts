import { checkPayloadLength } from '../codec/payload-length.ts';
import { float32 } from '../codec/float32.ts';
import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import type { Step, UpdateMessage, WeightsMessage, WeightsTailMessage } from '../protocol/messages.ts';
import { bucketRange } from '../protocol/buckets.ts';
import type { Range } from '../util/range.ts';

/** Weights as they came: in one piece, or the tail before the rest. */
export interface ReceivedWeights {
  readonly step: Step;
  readonly payload: Uint8Array;
  /** From the end of the flat vector to the tail's start; null if there was none. */
  readonly buckets: readonly WeightsBucket[] | null;
}

export interface WeightsBucket extends Range {
  readonly payload: Uint8Array;
}

/** What leads from the weights of the step before to those of this one. */
export interface ReceivedUpdate {
  readonly step: Step;
  /** From the end of the flat vector to its start; each ends where the one before it starts. */
  readonly pieces: readonly UpdateBucket[];
}

export interface UpdateBucket {
  readonly from: number;
  /** The codec's name, where it is not the welcome's. */
  readonly encoding: string | undefined;
  readonly payload: Uint8Array;
}

/** What came ahead of the rest. */
export interface PartialWeights {
  readonly weights: { readonly step: Step; readonly pieces: readonly WeightsBucket[] } | null;
  readonly update: ReceivedUpdate | null;
}

export const noPartialWeights: PartialWeights = { weights: null, update: null };

/**
 * @param cuts the welcome's
 * @param length of the flat vector
 * @throws ProtocolError (malformed, wrongLength) if it does not follow what came before
 */
export function receiveWeightsBucket(
  { weights }: PartialWeights,
  { step, piece }: WeightsTailMessage,
  payload: Uint8Array,
  cuts: readonly number[],
  length: number,
): PartialWeights {
  const part = bucketRange(cuts, piece, length);
  if (part === null) throw malformed('A piece of a tail that this vector has not.');
  checkPayloadLength(float32, payload, part.to - part.from);
  const before = weights?.step === step && part.to < length ? weights.pieces : [];
  const end = before.at(-1)?.from ?? length;
  if (part.to !== end) throw malformed(`A piece up to ${part.to} behind one from ${end}.`);
  return { ...noPartialWeights, weights: { step, pieces: [...before, { ...part, payload }] } };
}

/**
 * @param cuts the welcome's
 * @throws ProtocolError (malformed) for a head without all of its tail
 */
export function receiveWeights(
  { weights }: PartialWeights,
  { step, head }: WeightsMessage,
  payload: Uint8Array,
  cuts: readonly number[],
): ReceivedWeights {
  if (head !== true) return { step, payload, buckets: null };
  if (weights?.step === step && weights.pieces.at(-1)?.from === cuts[0])
    return { step, payload, buckets: weights.pieces };
  throw malformed('The head of weights whose tail was not sent before.');
}

/**
 * Puts the pieces of an update together.
 * @param held the step of the newest weights that came
 * @returns the update once its first value has come, else null and what there is of it
 * @throws ProtocolError (malformed) if it does not follow what came before
 */
export function receiveUpdate(
  { update }: PartialWeights,
  { step, from = 0, encoding }: UpdateMessage,
  payload: Uint8Array,
  held: Step | null,
): { readonly update: ReceivedUpdate | null; readonly pieces: PartialWeights } {
  if (held === null || step !== held + 1) {
    throw malformed(`An update to step ${step}, but the weights here are of step ${held ?? 'none'}.`);
  }
  const before = update?.step === step ? update.pieces : [];
  const end = before.at(-1)?.from;
  if (end !== undefined && from >= end) throw malformed(`An update from ${from} behind one from ${end}.`);
  const received = { step, pieces: [...before, { from, encoding, payload }] };
  return from === 0
    ? { update: received, pieces: noPartialWeights }
    : { update: null, pieces: { weights: null, update: received } };
}

const malformed = (sentence: string): ProtocolError => new ProtocolError(CloseCode.malformed, sentence);

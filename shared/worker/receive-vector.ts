import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import type { Step, UpdateMessage, WeightsMessage } from '../protocol/messages.ts';

/** A received bucket. It ends where the bucket before it begins; the first bucket ends at the vector's end. */
export interface VectorBucket {
  readonly offset: number;
  readonly payload: Uint8Array;
  /** Codec, if it differs from the welcome's. */
  readonly encoding: string | undefined;
}

/** Buckets of the weights of a step, or of the update to them, back to front. */
export interface ReceivedVector {
  readonly kind: 'weights' | 'update';
  readonly step: Step;
  readonly buckets: readonly VectorBucket[];
}

const BYTES_PER_VALUE = 4;

/**
 * Adds a bucket to a partial vector.
 * @param partial vector without its bucket with offset 0; null if there is none
 * @param length values of the flat vector
 * @returns the vector, complete once its last bucket has offset 0
 * @throws ProtocolError (malformed, wrongLength) if the bucket does not continue the vector
 */
export function receiveBucket(
  partial: ReceivedVector | null,
  message: WeightsMessage | UpdateMessage,
  payload: Uint8Array,
  length: number,
): ReceivedVector {
  const { type: kind, step, offset } = message;
  const isSame = partial?.kind === kind && partial.step === step;
  const encoding = message.type === 'update' ? message.encoding : undefined;
  const bucket = { offset, payload, encoding };
  let buckets = isSame ? partial.buckets : [];
  if (kind === 'weights') {
    const end = offset + payload.length / BYTES_PER_VALUE;
    // A bucket that ends at the vector's end starts a new vector.
    if (end === length) buckets = [];
    const expected = buckets.at(-1)?.offset ?? length;
    if (end !== expected) {
      throw new ProtocolError(
        CloseCode.wrongLength,
        `A bucket of weights from ${offset} to ${end} must end at ${expected}.`,
      );
    }
  }
  const end = buckets.at(-1)?.offset ?? length;
  if (offset >= end) throw malformed(`A bucket begins at ${offset}, but must begin before ${end}.`);
  return { kind, step, buckets: [...buckets, bucket] };
}

/** Whether all buckets have arrived. */
export const isComplete = ({ buckets }: ReceivedVector): boolean => buckets.at(-1)?.offset === 0;

const malformed = (sentence: string): ProtocolError => new ProtocolError(CloseCode.malformed, sentence);

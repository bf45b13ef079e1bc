import { sizeOf } from '../model/layout.ts';
import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';

/** Samples on their way to a worker. */
export interface Shard {
  /** Which samples of the data set these are; keys the dropout masks. */
  readonly sampleNumbers: Uint32Array;
  /** [samples, ...sampleShape], row-major, as stored: 0 to 255. */
  readonly images: Uint8Array;
  /** [samples] */
  readonly labels: Uint8Array;
}

/** Bytes of a shard's payload: 4 for the number, the image, 1 for the label of each sample. */
export function shardBytes(samples: number, sampleShape: readonly number[]): number {
  return samples * (4 + sizeOf(sampleShape) + 1);
}

/** Writes samples `numbers` of a split into a payload: numbers, then images, then labels. */
export function writeShard(
  payload: Uint8Array,
  numbers: Uint32Array,
  split: { readonly images: Uint8Array; readonly labels: Uint8Array },
  sampleShape: readonly number[],
): void {
  const samples = numbers.length;
  const imageBytes = sizeOf(sampleShape);
  const view = viewShard(payload, samples, sampleShape);
  view.sampleNumbers.set(numbers);
  numbers.forEach((number, i) => {
    view.images.set(split.images.subarray(number * imageBytes, (number + 1) * imageBytes), i * imageBytes);
    view.labels[i] = split.labels[number] ?? 0;
  });
}

/**
 * Views of a shard's payload, which must be 4-byte aligned.
 * @throws ProtocolError (malformed) if the payload has another length than `samples` samples need
 */
export function viewShard(payload: Uint8Array, samples: number, sampleShape: readonly number[]): Shard {
  const expected = shardBytes(samples, sampleShape);
  if (payload.length !== expected) {
    throw new ProtocolError(
      CloseCode.malformed,
      `A shard of ${samples} samples has ${expected} payload bytes; this one has ${payload.length}.`,
    );
  }
  const imagesAt = samples * 4;
  const labelsAt = imagesAt + samples * sizeOf(sampleShape);
  return {
    sampleNumbers: new Uint32Array(payload.buffer, payload.byteOffset, samples),
    images: payload.subarray(imagesAt, labelsAt),
    labels: payload.subarray(labelsAt),
  };
}

/**
 * A label that is none of the job's would be read as some other place's of what the model says.
 * @throws ProtocolError (malformed)
 */
export function checkLabels({ labels }: Shard, classes: number): void {
  const wrong = labels.find((label) => label >= classes);
  if (wrong === undefined) return;
  throw new ProtocolError(CloseCode.malformed, `A sample of class ${wrong}; the job has ${classes}, from 0.`);
}

import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';

/** Samples of one assignment to a worker. */
export interface Shard {
  /** Indices of the samples in the data set; they key the dropout masks. */
  readonly sampleNumbers: Uint32Array;
  /** [samples, ...sampleShape], row-major, unscaled: 0 to 255. */
  readonly images: Uint8Array;
  /** [samples] */
  readonly labels: Uint8Array;
}

/**
 * Bytes of a shard's payload: for each sample 4 for its number, the image, and 1 for the label.
 * @param imageBytes of one sample: the number of elements of the job's sample shape
 */
export function shardBytes(samples: number, imageBytes: number): number {
  return samples * (4 + imageBytes + 1);
}

/** Writes the samples `numbers` of a split into a payload: numbers, then images, then labels. */
export function writeShard(
  payload: Uint8Array,
  numbers: Uint32Array,
  split: { readonly images: Uint8Array; readonly labels: Uint8Array },
  imageBytes: number,
): void {
  const view = viewShard(payload, numbers.length, imageBytes);
  view.sampleNumbers.set(numbers);
  numbers.forEach((number, i) => {
    view.images.set(split.images.subarray(number * imageBytes, (number + 1) * imageBytes), i * imageBytes);
    view.labels[i] = split.labels[number] ?? 0;
  });
}

/**
 * Views of a shard's payload, which must be 4-byte aligned.
 * @throws ProtocolError (malformed) if the payload's length is not that of `samples` samples
 */
export function viewShard(payload: Uint8Array, samples: number, imageBytes: number): Shard {
  const expected = shardBytes(samples, imageBytes);
  if (payload.length !== expected) {
    throw new ProtocolError(
      CloseCode.malformed,
      `A shard of ${samples} samples has ${expected} payload bytes; this one has ${payload.length}.`,
    );
  }
  const imagesOffset = samples * 4;
  const labelsOffset = imagesOffset + samples * imageBytes;
  return {
    sampleNumbers: new Uint32Array(payload.buffer, payload.byteOffset, samples),
    images: payload.subarray(imagesOffset, labelsOffset),
    labels: payload.subarray(labelsOffset),
  };
}

/**
 * Checks labels before they index the model's outputs.
 * @throws ProtocolError (malformed) if a label is not a class of the job
 */
export function checkLabels({ labels }: Shard, classes: number): void {
  const wrong = labels.find((label) => label >= classes);
  if (wrong === undefined) return;
  throw new ProtocolError(CloseCode.malformed, `A sample of class ${wrong}; the job has ${classes}, from 0.`);
}

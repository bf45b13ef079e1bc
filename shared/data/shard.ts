import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import {
  arrayOf,
  elementBytes,
  sampleSize,
  type SampleFormat,
  type TensorSpec,
  type TensorValues,
} from '../model/tensors.ts';

/** Samples of one assignment to a worker. */
export interface Shard {
  /** Indices of the samples in the data set; they key the dropout masks. */
  readonly sampleNumbers: Uint32Array;
  /** Stored values of each input: [samples, ...shape], row-major. */
  readonly inputs: readonly TensorValues[];
  /** Stored values of each target: [samples, ...shape], row-major. */
  readonly targets: readonly TensorValues[];
  /** Weight of each sample in the loss. @default 1 for all */
  readonly weights?: Float32Array | undefined;
}

/** Parts of a payload begin at multiples of this. */
const ALIGNMENT = 4;
const NUMBER_BYTES = Uint32Array.BYTES_PER_ELEMENT;

const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Part of a payload with the values of one tensor. */
interface Part {
  /** Elements and bytes of one sample. */
  readonly size: number;
  readonly bytes: number;
  readonly view: (buffer: ArrayBufferLike, byteOffset: number, length: number) => TensorValues;
}

interface ShardLayout {
  readonly inputs: readonly Part[];
  readonly targets: readonly Part[];
  readonly hasWeights: boolean;
}

/** Layouts of the formats that shards were made for. */
const layouts = new WeakMap<SampleFormat, ShardLayout>();

function layoutOfShards(format: SampleFormat): ShardLayout {
  const existing = layouts.get(format);
  if (existing !== undefined) return existing;
  const partOf = (spec: TensorSpec): Part => {
    const Values = arrayOf(spec);
    const size = sampleSize(spec);
    return {
      size,
      bytes: size * elementBytes(spec),
      view: (buffer, byteOffset, length) => new Values(buffer, byteOffset, length),
    };
  };
  const layout = {
    inputs: format.inputs.map(partOf),
    targets: format.targets.map(partOf),
    hasWeights: format.sampleWeights === true,
  };
  layouts.set(format, layout);
  return layout;
}

/**
 * Bytes of a shard's payload: the sample numbers, then each input, each target, and the weights if there are any.
 * @param present number of samples whose values are in the payload. @default all
 */
export function shardBytes(samples: number, format: SampleFormat, present = samples): number {
  const { inputs, targets, hasWeights } = layoutOfShards(format);
  let bytes = samples * NUMBER_BYTES;
  for (const part of inputs) bytes += align(present * part.bytes);
  for (const part of targets) bytes += align(present * part.bytes);
  return hasWeights ? bytes + present * Float32Array.BYTES_PER_ELEMENT : bytes;
}

/** Copies of the samples `numbers` of `count` samples in memory, in this order. */
export function pickSamples(
  { inputs, targets, weights, count }: Omit<Shard, 'sampleNumbers'> & { readonly count: number },
  numbers: Uint32Array,
): Shard {
  const pick = <Values extends TensorValues>(values: Values): Values => {
    const size = values.length / count;
    const ArrayType = values.constructor as new (length: number) => Values;
    const picked = new ArrayType(numbers.length * size);
    numbers.forEach((number, i) => picked.set(values.subarray(number * size, (number + 1) * size), i * size));
    return picked;
  };
  return {
    sampleNumbers: numbers,
    inputs: inputs.map(pick),
    targets: targets.map(pick),
    ...(weights === undefined ? {} : { weights: pick(weights) }),
  };
}

/**
 * Writes a shard into a payload of zeros.
 * @param present number of samples whose values are in the shard. @default all
 */
export function writeShard(
  payload: Uint8Array,
  shard: Shard,
  format: SampleFormat,
  present = shard.sampleNumbers.length,
): void {
  const { sampleNumbers, inputs, targets, weights } = shard;
  const view = viewShard(payload, sampleNumbers.length, format, present);
  view.sampleNumbers.set(sampleNumbers);
  view.inputs.forEach((values, i) => values.set(inputs[i] ?? []));
  view.targets.forEach((values, i) => values.set(targets[i] ?? []));
  if (view.weights === undefined) return;
  if (weights === undefined) view.weights.fill(1);
  else view.weights.set(weights);
}

/**
 * Views of a shard's payload, which must be 4-byte aligned.
 * @param present number of samples whose values are in the payload. @default all
 * @throws ProtocolError (malformed) if the payload's length is not that of `samples` samples
 */
export function viewShard(
  payload: Uint8Array,
  samples: number,
  format: SampleFormat,
  present = samples,
): Shard {
  const expected = shardBytes(samples, format, present);
  if (payload.length !== expected) {
    throw new ProtocolError(
      CloseCode.malformed,
      `A shard of ${samples} samples has ${expected} payload bytes; this one has ${payload.length}.`,
    );
  }
  const { buffer, byteOffset } = payload;
  const layout = layoutOfShards(format);
  let at = samples * NUMBER_BYTES;
  const next = ({ size, bytes, view }: Part): TensorValues => {
    const values = view(buffer, byteOffset + at, present * size);
    at += align(present * bytes);
    return values;
  };
  const sampleNumbers = new Uint32Array(buffer, byteOffset, samples);
  const inputs = layout.inputs.map(next);
  const targets = layout.targets.map(next);
  if (!layout.hasWeights) return { sampleNumbers, inputs, targets };
  return { sampleNumbers, inputs, targets, weights: new Float32Array(buffer, byteOffset + at, present) };
}

/** Views of the samples from `from` to before `to`. */
export function sliceShard(
  { sampleNumbers, inputs, targets, weights }: Shard,
  from: number,
  to: number,
): Shard {
  const samples = sampleNumbers.length;
  const slice = <Values extends TensorValues>(values: Values): Values => {
    const size = values.length / samples;
    return values.subarray(from * size, to * size) as Values;
  };
  return {
    sampleNumbers: sampleNumbers.subarray(from, to),
    inputs: inputs.map(slice),
    targets: targets.map(slice),
    ...(weights === undefined ? {} : { weights: slice(weights) }),
  };
}

/**
 * Checks whole numbers with a limit, such as classes, before they index anything.
 * @throws ProtocolError (malformed) if one is negative or not below the limit
 */
export function checkClasses(shard: Shard, format: SampleFormat): void {
  for (const kind of ['inputs', 'targets'] as const) {
    for (const [i, { name, classes, dtype }] of format[kind].entries()) {
      if (classes === undefined || (dtype === 'uint8' && classes > 255)) continue;
      for (const value of shard[kind][i] ?? []) {
        if (value >= 0 && value < classes && Number.isInteger(value)) continue;
        throw new ProtocolError(
          CloseCode.malformed,
          `A sample has ${value} in ${name}, which goes from 0 to ${classes - 1}.`,
        );
      }
    }
  }
}

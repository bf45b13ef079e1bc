import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import type { Layout } from '../model/layout.ts';
import type { Range } from '../util/range.ts';
import { codecKernels } from './kernels/simd.ts';

/**
 * The name by which a shard asks for them. Factors travel with every bit; a product that is NaN has the bits 0x7fc00000, and
 * one that overflows is infinite.
 */
export const FACTORS = 'factors';

/** A dense layer's kernel in the flat vector, [inputs, outputs]. */
export interface DenseKernel {
  readonly offset: number;
  readonly inputs: number;
  readonly outputs: number;
}

/**
 * The tensor whose gradient may travel as sufficient factors: the largest matrix that is trained. For a dense layer that
 * is activations^T x output gradients, over the shard's samples (Xie et al., "Distributed machine learning via sufficient
 * factor broadcasting", UAI 2016).
 */
export function factoredKernel({ slices }: Layout): DenseKernel | null {
  const matrices = slices.filter(({ shape, trainable }) => trainable && shape.length === 2);
  const largest = matrices.reduce<(typeof matrices)[number] | null>(
    (most, slice) => (most === null || slice.size > most.size ? slice : most),
    null,
  );
  if (largest === null) return null;
  const [inputs = 0, outputs = 0] = largest.shape;
  return { offset: largest.offset, inputs, outputs };
}

/** Values of both factors of a shard's gradient. */
const factorSize = ({ inputs, outputs }: DenseKernel, samples: number): number =>
  samples * (inputs + outputs);

/** Whether the factors of so many samples are fewer values than the gradient. */
export const areFactorsSmaller = (kernel: DenseKernel, samples: number): boolean =>
  factorSize(kernel, samples) < kernel.inputs * kernel.outputs;

const containsKernel = ({ offset, inputs, outputs }: DenseKernel, { from, to }: Range): boolean =>
  from <= offset && offset + inputs * outputs <= to;

/** Payload bytes of a part of the vector, which has the kernel whole or not at all. */
export function factoredBytes(kernel: DenseKernel, samples: number, part: Range): number {
  const values = part.to - part.from;
  if (!containsKernel(kernel, part)) return 4 * values;
  return 4 * (values - kernel.inputs * kernel.outputs + factorSize(kernel, samples));
}

/**
 * Writes a part of a gradient.
 * @param gradient the flat vector; in the kernel's place the activations, [samples, inputs], and behind these the output
 *   gradients, [samples, outputs]
 * @param payload of factoredBytes(), 4-byte aligned
 */
export function encodeFactored(
  gradient: Float32Array,
  payload: Uint8Array,
  kernel: DenseKernel,
  samples: number,
  part: Range,
): void {
  const floats = new Float32Array(payload.buffer, payload.byteOffset, payload.length / 4);
  if (!containsKernel(kernel, part)) {
    floats.set(gradient.subarray(part.from, part.to));
    return;
  }
  const behind = kernel.offset + kernel.inputs * kernel.outputs;
  const factors = gradient.subarray(part.from, kernel.offset + factorSize(kernel, samples));
  floats.set(factors);
  floats.set(gradient.subarray(behind, part.to), factors.length);
}

/**
 * Reads a part of a gradient, and multiplies the factors.
 * @param into room for the part's values, which saves an allocation where there are factors in it
 * @returns the values, in full
 * @throws ProtocolError (wrongLength)
 */
export function decodeFactored(
  payload: Uint8Array,
  kernel: DenseKernel,
  samples: number,
  part: Range,
  into?: Float32Array,
): Float32Array {
  const bytes = factoredBytes(kernel, samples, part);
  if (payload.length !== bytes) {
    throw new ProtocolError(
      CloseCode.wrongLength,
      `The factors of ${samples} samples are ${bytes} bytes; the payload has ${payload.length}.`,
    );
  }
  const floats = new Float32Array(payload.buffer, payload.byteOffset, payload.length / 4);
  if (!containsKernel(kernel, part)) return floats;
  const { inputs, outputs } = kernel;
  const values = into ?? new Float32Array(part.to - part.from);
  const start = kernel.offset - part.from;
  const [size, split] = [inputs * outputs, start + samples * inputs];
  const end = split + samples * outputs;
  values.set(floats.subarray(0, start));
  codecKernels.multiplyFactors(
    floats.subarray(start, split),
    floats.subarray(split, end),
    values.subarray(start, start + size),
    { samples, inputs, outputs },
  );
  values.set(floats.subarray(end), start + size);
  return values;
}

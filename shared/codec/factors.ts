import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import type { Layout } from '../model/layout.ts';
import type { Range } from '../util/range.ts';
import { codecKernels } from './kernels/simd.ts';

/**
 * Name of the encoding in shard messages. Factors are lossless float32; a product that is NaN has the bits 0x7fc00000, and
 * a product that overflows is infinite.
 */
export const FACTORS = 'factors';

/** Kernel of a dense layer in the flat vector, [inputs, outputs]. */
export interface DenseKernel {
  readonly offset: number;
  readonly inputs: number;
  readonly outputs: number;
}

/**
 * Tensor whose gradient may be sent as sufficient factors: the largest trainable matrix. The gradient of a dense layer's
 * kernel is activations^T x output gradients over the shard's samples (Xie et al., "Distributed machine learning via
 * sufficient factor broadcasting", UAI 2016).
 */
export function factoredKernel({ slices }: Layout): DenseKernel | null {
  const matrices = slices.filter(({ shape, trainable }) => trainable && shape.length === 2);
  const largest = matrices.reduce<(typeof matrices)[number] | null>(
    (best, slice) => (best === null || slice.size > best.size ? slice : best),
    null,
  );
  if (largest === null) return null;
  const [inputs = 0, outputs = 0] = largest.shape;
  return { offset: largest.offset, inputs, outputs };
}

/** Number of values in both factors of a shard's gradient. */
const factorSize = ({ inputs, outputs }: DenseKernel, samples: number): number =>
  samples * (inputs + outputs);

/** Whether the factors of `samples` samples have fewer values than the kernel's gradient. */
export const areFactorsSmaller = (kernel: DenseKernel, samples: number): boolean =>
  factorSize(kernel, samples) < kernel.inputs * kernel.outputs;

const containsKernel = ({ offset, inputs, outputs }: DenseKernel, { from, to }: Range): boolean =>
  from <= offset && offset + inputs * outputs <= to;

/** Payload bytes of a part of the vector. The part contains all of the kernel or nothing of it. */
export function factoredBytes(kernel: DenseKernel, samples: number, part: Range): number {
  const values = part.to - part.from;
  if (!containsKernel(kernel, part)) return 4 * values;
  return 4 * (values - kernel.inputs * kernel.outputs + factorSize(kernel, samples));
}

/**
 * Writes a part of a gradient into a payload.
 * @param gradient the flat vector; the kernel's range begins with the activations, [samples, inputs], followed by the output
 *   gradients, [samples, outputs]
 * @param payload buffer of factoredBytes() bytes, 4-byte aligned
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
  const kernelEnd = kernel.offset + kernel.inputs * kernel.outputs;
  const factors = gradient.subarray(part.from, kernel.offset + factorSize(kernel, samples));
  floats.set(factors);
  floats.set(gradient.subarray(kernelEnd, part.to), factors.length);
}

/**
 * Reads a part of a gradient from a payload and multiplies the factors.
 * @param into buffer for the part's values, which saves an allocation if the part contains factors
 * @returns all values of the part
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
  const size = inputs * outputs;
  const split = start + samples * inputs;
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

import { checkLength } from './check-length.ts';
import type { Codec } from './codec.ts';
import { codecKernels } from './kernels/simd.ts';

/** The values as they are: IEEE 754 single precision, little-endian. */
export const float32: Codec = {
  name: 'float32',
  lossy: false,
  bytes: (length) => length * 4,
  encode: (values, payload) => valuesIn(payload, values.length).set(values),
  encodeDifference(values, base, payload) {
    const to = valuesIn(payload, values.length);
    for (let i = 0; i < to.length; i++) to[i] = (values[i] as number) - (base[i] as number);
  },
  encodeOwed(values, owed, payload) {
    codecKernels.add(values, owed, valuesIn(payload, values.length));
    owed.fill(0);
  },
  decode(payload, length) {
    checkLength(float32, payload, length);
    return valuesIn(payload, length);
  },
  decodeOnto: (payload, base, out) => codecKernels.add(base, float32.decode(payload, out.length), out),
};

const valuesIn = ({ buffer, byteOffset }: Uint8Array, length: number): Float32Array =>
  new Float32Array(buffer, byteOffset, length);

import { checkLength } from './check-length.ts';
import type { Codec } from './codec.ts';
import type { FormatKernels, Packed } from './kernels/kernels.ts';

/** A codec of a packed format; `packedIn` finds the parts of a payload of `length` values. */
export function packedCodec<Numbers extends Uint16Array | Int8Array | Uint8Array>(
  name: string,
  kernels: FormatKernels<Numbers>,
  bytes: (length: number) => number,
  packedIn: (payload: Uint8Array, length: number) => Packed<Numbers>,
): Codec {
  const checked = (payload: Uint8Array, length: number): Packed<Numbers> => {
    checkLength({ name, bytes }, payload, length);
    return packedIn(payload, length);
  };
  return {
    name,
    lossy: true,
    bytes,
    encode: (values, payload) => kernels.encode(values, packedIn(payload, values.length)),
    encodeDifference: (values, base, payload) =>
      kernels.encodeDifference(values, base, packedIn(payload, values.length)),
    encodeOwed: (values, owed, payload) => kernels.encodeOwed(values, owed, packedIn(payload, values.length)),
    decode(payload, length, into = new Float32Array(length)) {
      kernels.decode(checked(payload, length), into);
      return into;
    },
    decodeOnto: (payload, base, out) => kernels.decodeOnto(checked(payload, out.length), base, out),
  };
}

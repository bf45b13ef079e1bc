import { checkPayloadLength } from './check-length.ts';
import type { Codec } from './codec.ts';
import type { FormatKernels, PackedArray, PackedVector } from './kernels/kernels.ts';

/** A codec of a packed format; `packedIn` finds the parts of a payload of `length` values. */
export function packedCodec<N extends PackedArray>(
  name: string,
  kernels: FormatKernels<N>,
  bytes: (length: number) => number,
  packedIn: (payload: Uint8Array, length: number) => PackedVector<N>,
): Codec {
  const checked = (payload: Uint8Array, length: number): PackedVector<N> => {
    checkPayloadLength({ name, bytes }, payload, length);
    return packedIn(payload, length);
  };
  return {
    name,
    lossy: true,
    bytes,
    encode: (values, payload) => kernels.encode(values, packedIn(payload, values.length)),
    encodeDifference: (values, base, payload) =>
      kernels.encodeDifference(values, base, packedIn(payload, values.length)),
    encodeWithResidual: (values, owed, payload) => kernels.encodeWithResidual(values, owed, packedIn(payload, values.length)),
    decode(payload, length, into = new Float32Array(length)) {
      kernels.decode(checked(payload, length), into);
      return into;
    },
    decodeOnto: (payload, base, out) => kernels.decodeOnto(checked(payload, out.length), base, out),
  };
}

import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';

/**
 * Encoding of a flat vector of float32 values for the network. Pure: the same values give the same bytes on every machine.
 *
 * PROTOCOL.md defines each codec's bytes for NaN, infinities, -0 and subnormal values. A value that is not finite decodes to
 * a value that is not finite at the same position, so that divergence stays visible. A NaN that a codec computes or decodes
 * has the bits 0x7fc00000.
 */
export interface Codec {
  readonly name: string;
  /** Whether decoded values may differ from the encoded ones. */
  readonly lossy: boolean;
  /** Payload bytes for a vector of `length` values. */
  bytes(length: number): number;
  /** Writes `values` into `payload`, which has bytes(values.length) bytes and is 4-byte aligned. */
  encode(values: Float32Array, payload: Uint8Array): void;
  /** Encodes values - base. */
  encodeDifference(values: Float32Array, base: Float32Array, payload: Uint8Array): void;
  /** Encodes values + residual and stores the encoding error in `residual`; +0 where the error is not finite. */
  encodeWithResidual(values: Float32Array, residual: Float32Array, payload: Uint8Array): void;
  /**
   * Decodes a payload; the result is a view of the payload where the format allows that.
   * @param into buffer of `length` values, which saves an allocation where the codec needs one
   * @throws ProtocolError (wrongLength) if the payload does not hold `length` values
   */
  decode(payload: Uint8Array, length: number, into?: Float32Array): Float32Array;
  /**
   * out = base + the decoded values; vectors of one length, and `out` may be `base`.
   * @throws ProtocolError (wrongLength) if the payload does not hold `out.length` values
   */
  decodeOnto(payload: Uint8Array, base: Float32Array, out: Float32Array): void;
}

/** Error for a payload that does not hold `length` values. */
export const payloadLengthError = (
  { name, bytes }: Pick<Codec, 'name' | 'bytes'>,
  payload: Uint8Array,
  length: number,
): ProtocolError =>
  new ProtocolError(
    CloseCode.wrongLength,
    `${length} ${name} values are ${bytes(length)} bytes; the payload has ${payload.length}.`,
  );

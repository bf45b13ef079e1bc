import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import { float16, int4, int8 } from './packed.ts';
import { float32 } from './float32.ts';

/**
 * How a flat vector of float32 values travels. Pure: the same values give the same bytes, on every machine.
 *
 * NaN, infinities, -0 and subnormal values: PROTOCOL.md defines each codec's bytes for them. A vector with a value that is
 * not finite decodes to one that is not finite at the same position, so that divergence stays visible. A NaN that a codec
 * computes or decodes has the bits 0x7fc00000.
 */
export interface Codec {
  readonly name: string;
  /** Whether decoding may give other values than were encoded. */
  readonly lossy: boolean;
  /** Payload bytes for a vector of `length` values. */
  bytes(length: number): number;
  /** Writes `values` into `payload`, which has bytes(values.length) bytes and is 4-byte aligned. */
  encode(values: Float32Array, payload: Uint8Array): void;
  /** Encodes values - base. */
  encodeDifference(values: Float32Array, base: Float32Array, payload: Uint8Array): void;
  /** Encodes values + owed, and leaves in `owed` what was lost of that; +0 where that is not finite. */
  encodeWithResidual(values: Float32Array, owed: Float32Array, payload: Uint8Array): void;
  /**
   * The values of a payload; a view of it where the codec allows that.
   * @param into room for `length` values, which saves an allocation where the codec needs one
   * @throws ProtocolError (wrongLength) if the payload does not hold `length` values
   */
  decode(payload: Uint8Array, length: number, into?: Float32Array): Float32Array;
  /**
   * out = base + the values of a payload; vectors of one length, and `out` may be `base`.
   * @throws ProtocolError (wrongLength) if the payload is not of that length
   */
  decodeOnto(payload: Uint8Array, base: Float32Array, out: Float32Array): void;
}

/** All codecs; the first is the one that everybody knows. */
export const CODECS: readonly Codec[] = [float32, float16, int8, int4];

/** @throws ProtocolError (unsupported) if no codec has this name */
export function getCodec(name: string): Codec {
  const codec = CODECS.find((candidate) => candidate.name === name);
  if (codec === undefined) {
    throw new ProtocolError(CloseCode.unsupported, `Codec '${name}' is not known here.`);
  }
  return codec;
}

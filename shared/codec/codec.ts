import { CloseCode, ProtocolError } from '../protocol/close-code.ts';
import { float32 } from './float32.ts';

/** How a flat vector of float32 values travels. */
export interface Codec {
  readonly name: string;
  /** Payload bytes for a vector of `length` values. */
  bytes(length: number): number;
  /** Writes `values` into `payload`, which has bytes(values.length) bytes and is 4-byte aligned. */
  encode(values: Float32Array, payload: Uint8Array): void;
  /**
   * The values of a payload; a view of it where the codec allows that.
   * @throws ProtocolError (wrongLength) if the payload does not hold `length` values
   */
  decode(payload: Uint8Array, length: number): Float32Array;
}

/** All codecs, the most wanted first. */
export const CODECS: readonly Codec[] = [float32];

/** @throws ProtocolError (unsupported) if no codec has this name */
export function codecNamed(name: string): Codec {
  const codec = CODECS.find((candidate) => candidate.name === name);
  if (codec === undefined) {
    throw new ProtocolError(CloseCode.unsupported, `Codec '${name}' is not known here.`);
  }
  return codec;
}

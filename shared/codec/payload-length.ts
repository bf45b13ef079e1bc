import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import type { Codec } from './codec.ts';

/** @throws ProtocolError (wrongLength) if a payload does not hold `length` values */
export function checkPayloadLength(
  codec: Pick<Codec, 'name' | 'bytes'>,
  payload: Uint8Array,
  length: number,
): void {
  const bytes = codec.bytes(length);
  if (payload.length === bytes) return;
  throw new ProtocolError(
    CloseCode.wrongLength,
    `${length} ${codec.name} values are ${bytes} bytes; the payload has ${payload.length}.`,
  );
}

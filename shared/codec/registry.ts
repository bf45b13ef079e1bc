import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import type { Codec } from './codec.ts';
import { float32 } from './float32.ts';
import { float16, int4, int8 } from './packed.ts';

/** All codecs; every worker and every coordinator supports the first. */
export const CODECS: readonly Codec[] = [float32, float16, int8, int4];

/** @throws ProtocolError (unsupported) if no codec has this name */
export function getCodec(name: string): Codec {
  const codec = CODECS.find((candidate) => candidate.name === name);
  if (codec === undefined) {
    throw new ProtocolError(CloseCode.unsupported, `Codec '${name}' is not supported.`);
  }
  return codec;
}

import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import type { Codec } from './codec.ts';
import { float32 } from './float32.ts';
import { float16, int4, int8 } from './packed.ts';

const codecs: Codec[] = [float32, float16, int8, int4];
/** All codecs; every worker and every coordinator supports the first. */
export const CODECS: readonly Codec[] = codecs;

/**
 * Adds a codec of a program's own. Only peers that add it too use it.
 * @throws Error if another codec has its name
 */
export function registerCodec(codec: Codec): void {
  const existing = CODECS.find(({ name }) => name === codec.name);
  if (existing === codec) return;
  if (existing !== undefined)
    throw new Error(`There is a codec ${codec.name} already. Give yours another name.`);
  codecs.push(codec);
}

/** @throws ProtocolError (unsupported) if no codec has this name */
export function getCodec(name: string): Codec {
  const codec = CODECS.find((candidate) => candidate.name === name);
  if (codec === undefined) {
    throw new ProtocolError(CloseCode.unsupported, `Codec '${name}' is not supported.`);
  }
  return codec;
}

/**
 * Why a connection was closed, or an answer rejected. PROTOCOL.md lists the same codes with what to do about each.
 * 1000 (done), 1001 (going away), 1006 (lost) and 1009 (too big to be read at all) are WebSocket's own.
 */
export const CloseCode = {
  /** Both sides are done. */
  normal: 1000,
  /** This side does not trust the certificate that it was shown. Never sent (RFC 6455, 7.4.1). */
  untrustedCertificate: 1015,
  /** The frame is no gradcast frame, or its header is no message of this direction. */
  malformed: 4400,
  /** The token is missing or wrong. */
  unauthorized: 4401,
  /** Silent for too long: no hello, no answer to pings, or a shard that never came back. */
  timeout: 4408,
  /** A message that is not allowed now, such as a second hello. */
  unexpected: 4409,
  /** A frame has not arrived as it was sent; come back. */
  checksumMismatch: 4410,
  /** The frame is larger than any that this run needs. */
  tooLarge: 4413,
  /** The gradient has another length than the job's layout. */
  wrongLength: 4420,
  /** The gradient, loss or count is not a possible one (NaN, infinite, more correct than samples). */
  notFinite: 4421,
  /** The answer is for samples that this worker was not given. */
  notAssigned: 4422,
  /** The worker could not compute what it was given, several times. */
  cannotCompute: 4424,
  /** Its gradients are not those that others compute of the same samples. */
  wrongGradient: 4425,
  /** The worker speaks another protocol version, or no codec that the coordinator knows. */
  unsupported: 4426,
  /** The run is exact, and the worker's engine computes other bits than those before it. */
  fingerprintMismatch: 4427,
  /** The coordinator has as many workers as it takes. */
  noFreeSlot: 4429,
  /** More messages than were asked for; come back. */
  tooManyMessages: 4430,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** Close codes after which coming back with the same hello cannot help. */
export const FATAL_CLOSE_CODES: ReadonlySet<number> = new Set<number>([
  CloseCode.untrustedCertificate,
  CloseCode.malformed,
  CloseCode.unauthorized,
  CloseCode.unexpected,
  CloseCode.tooLarge,
  CloseCode.wrongLength,
  CloseCode.notFinite,
  CloseCode.notAssigned,
  CloseCode.cannotCompute,
  CloseCode.wrongGradient,
  CloseCode.unsupported,
  CloseCode.fingerprintMismatch,
]);

/** What a peer did wrong, with the code that it is told. The message is a sentence for a person. */
export class ProtocolError extends Error {
  readonly code: CloseCode;
  constructor(code: CloseCode, message: string) {
    super(message);
    this.name = 'ProtocolError';
    this.code = code;
  }
}

/** Cuts a sentence to the 123 bytes of UTF-8 that a WebSocket close frame can carry. */
export function closeReason(sentence: string): string {
  let bytes = 0;
  let kept = '';
  for (const character of sentence) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (bytes > 120) return `${kept}…`;
    kept += character;
  }
  return sentence;
}

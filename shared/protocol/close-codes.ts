/**
 * Reasons to close a connection or to reject an answer. PROTOCOL.md lists the same codes and how a worker reacts.
 * 1000 (done), 1001 (going away), 1006 (lost) and 1009 (too large to be read) are codes of WebSocket.
 */
export const CloseCode = {
  /** The run is finished, or the worker has left. */
  normal: 1000,
  /** The client does not trust the certificate of the server. Never sent (RFC 6455, 7.4.1). */
  untrustedCertificate: 1015,
  /** The frame is not a gradcast frame, or its header is not a message of this direction. */
  malformed: 4400,
  /** The token is missing or wrong. */
  unauthorized: 4401,
  /** The peer was silent for too long: no hello, no answer to pings, or an overdue shard. */
  timeout: 4408,
  /** The message is not allowed in this state, such as a second hello. */
  unexpected: 4409,
  /** A frame was damaged on the way. The worker reconnects. */
  checksumMismatch: 4410,
  /** The frame is larger than the limit. */
  tooLarge: 4413,
  /** The payload does not have the length that follows from the job's layout and the codec. */
  wrongLength: 4420,
  /** The gradient, loss or count is not possible (NaN, infinite, more correct samples than samples). */
  notFinite: 4421,
  /** The answer is for samples that this worker was not assigned. */
  notAssigned: 4422,
  /** The worker could not build the model, or repeatedly failed to compute a shard. */
  cannotCompute: 4424,
  /** The worker's gradients differ from those that the coordinator or other workers compute for the same samples. */
  wrongGradient: 4425,
  /** The protocol version or a codec is not supported. */
  unsupported: 4426,
  /** The run is exact, and the worker's engine computes different bits than the engines of the run. */
  fingerprintMismatch: 4427,
  /** The coordinator has no free place for a connection of this kind. The worker reconnects. */
  noFreeSlot: 4429,
  /** The peer sent more messages than the coordinator requested. The worker reconnects. */
  tooManyMessages: 4430,
  /** The coordinator has no run yet, or ends before its run is over. The worker reconnects. */
  noRun: 4503,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** Close codes after which a worker does not reconnect, because the same hello would be refused again. */
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

/** A violation of the protocol by the peer, with the close code. The message is a sentence for a person. */
export class ProtocolError extends Error {
  readonly code: CloseCode;
  constructor(code: CloseCode, message: string) {
    super(message);
    this.name = 'ProtocolError';
    this.code = code;
  }
}

/** Shortens a sentence to the 123 bytes of UTF-8 that fit into a WebSocket close frame. */
export function closeReason(sentence: string): string {
  let bytes = 0;
  let shortened = '';
  for (const character of sentence) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (bytes > 120) return `${shortened}…`;
    shortened += character;
  }
  return sentence;
}

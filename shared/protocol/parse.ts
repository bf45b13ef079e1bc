import * as v from 'valibot';
import { CloseCode, ProtocolError } from './close-codes.ts';
import { decodeFrame, encodeFrame, MAX_WORKER_HEADER_BYTES } from './frame.ts';
import {
  fromCoordinatorSchema,
  fromWorkerSchema,
  type FromCoordinator,
  type FromWorker,
} from './messages.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';

/** A parsed message with its payload, which is empty for most types. */
export interface Received<Message> {
  readonly message: Message;
  readonly payload: Uint8Array;
}

/** Parses a message of a worker or observer. @throws ProtocolError (malformed) for all other bytes */
export function parseFromWorker(bytes: Uint8Array): Received<FromWorker> {
  const { header, payload } = decodeFrame(bytes, MAX_WORKER_HEADER_BYTES);
  return { message: parse(fromWorkerSchema, header), payload };
}

/** Parses a message of the coordinator. @throws ProtocolError (malformed) for all other bytes */
export function parseFromCoordinator(bytes: Uint8Array): Received<FromCoordinator> {
  const { header, payload } = decodeFrame(bytes);
  return { message: parse(fromCoordinatorSchema, header), payload };
}

/** Frame of a message to the coordinator. */
export function frameFromWorker(message: FromWorker, payload?: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeFrame(message, payload);
}

/** Frame of a message to a worker or observer. */
export function frameFromCoordinator(
  message: FromCoordinator,
  payload?: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return encodeFrame(message, payload);
}

function parse<Schema extends v.GenericSchema>(schema: Schema, header: unknown): v.InferOutput<Schema> {
  let result: v.SafeParseResult<Schema>;
  try {
    result = v.safeParse(schema, header, { abortEarly: true });
  } catch {
    throw new ProtocolError(CloseCode.malformed, 'The header of the frame could not be read.');
  }
  if (result.success) return result.output;
  throw new ProtocolError(CloseCode.malformed, describeIssue(header, result.issues[0]));
}

/** Error message for an invalid header, with its type and field. Received texts are shortened and sanitized. */
function describeIssue(header: unknown, issue: v.BaseIssue<unknown>): string {
  const excerpt = (text: string, length: number): string => sanitizeForTerminal(text.slice(0, length));
  const type = typeof header === 'object' && header !== null && 'type' in header ? header.type : undefined;
  if (typeof type !== 'string') return 'Not a message: the field type is missing or is not a text.';
  const field = v.getDotPath(issue);
  if (field === 'type')
    return `Not a message of this direction: no message has the type '${excerpt(type, 40)}'.`;
  const message = `Not a message of this direction: ${excerpt(type, 40)}`;
  if (field === null) return `${message} is invalid.`;
  if (issue.received === 'undefined') return `${message} lacks the field ${excerpt(field, 100)}.`;
  const expected = issue.expected === null ? '' : `; it should be ${excerpt(issue.expected, 80)}`;
  return `${message} has ${excerpt(issue.received, 60)} in the field ${excerpt(field, 100)}${expected}.`;
}

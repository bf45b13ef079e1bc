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

/** A message that was parsed, with its payload (empty for most). */
export interface Received<Message> {
  readonly message: Message;
  readonly payload: Uint8Array;
}

/** @throws ProtocolError (malformed) for anything but a message that a worker may send */
export function parseFromWorker(bytes: Uint8Array): Received<FromWorker> {
  const { header, payload } = decodeFrame(bytes, MAX_WORKER_HEADER_BYTES);
  return { message: parse(fromWorkerSchema, header), payload };
}

/** @throws ProtocolError (malformed) for anything but a message that a coordinator may send */
export function parseFromCoordinator(bytes: Uint8Array): Received<FromCoordinator> {
  const { header, payload } = decodeFrame(bytes);
  return { message: parse(fromCoordinatorSchema, header), payload };
}

/** The frame of a message to the coordinator. */
export function frameFromWorker(message: FromWorker, payload?: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeFrame(message, payload);
}

/** The frame of a message to a worker. */
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

/** What is wrong with a message: its type and field, in words. What was received may be anything, and of any length. */
function describeIssue(header: unknown, issue: v.BaseIssue<unknown>): string {
  const said = (text: string, length: number): string => sanitizeForTerminal(text.slice(0, length));
  const type = typeof header === 'object' && header !== null && 'type' in header ? header.type : undefined;
  if (typeof type !== 'string') return 'Not a message: it needs a field type, which is text.';
  const field = v.getDotPath(issue);
  if (field === 'type')
    return `Not a message of this direction: no message has the type '${said(type, 40)}'.`;
  const message = `Not a message of this direction: ${said(type, 40)}`;
  if (field === null) return `${message} is not as it should be.`;
  if (issue.received === 'undefined') return `${message} lacks the field ${said(field, 100)}.`;
  const expected = issue.expected === null ? '' : `; it should be ${said(issue.expected, 80)}`;
  return `${message} has ${said(issue.received, 60)} in the field ${said(field, 100)}${expected}.`;
}

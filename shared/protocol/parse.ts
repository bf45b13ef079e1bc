import * as v from 'valibot';
import { CloseCode, ProtocolError } from './close-code.ts';
import { decodeFrame, encodeFrame, MOST_HEADER_BYTES_UP } from './frame.ts';
import {
  fromCoordinatorSchema,
  fromWorkerSchema,
  type FromCoordinator,
  type FromWorker,
} from './messages.ts';
import { readableText } from './readable.ts';

/** A message that was parsed, with its payload (empty for most). */
export interface Received<Message> {
  readonly message: Message;
  readonly payload: Uint8Array;
}

/** @throws ProtocolError (malformed) for anything but a message that a worker may send */
export function parseFromWorker(bytes: Uint8Array): Received<FromWorker> {
  const { header, payload } = decodeFrame(bytes, MOST_HEADER_BYTES_UP);
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
  const [issue] = result.issues;
  const where = v.getDotPath(issue);
  throw new ProtocolError(
    CloseCode.malformed,
    `Not a message of this direction${where === null ? '' : ` (${readableText(where.slice(0, 100))})`}: ` +
      // It quotes what was received, whatever and however long that is.
      readableText(issue.message.slice(0, 300)),
  );
}

import { open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import protobuf from 'protobufjs/minimal.js';
import { describeDiskError } from '../files/disk-error.ts';
import { makeFolder } from '../files/make-folder.ts';

// Files that TensorBoard reads: records of TensorFlow's TFRecord format, each an Event of event.proto. Numbers of fields are those of
// event.proto, summary.proto and tensor.proto of TensorFlow.

/** Value of a summary: a tensor of 32-bit or 64-bit floats, or text. */
export type SummaryTensor =
  | {
      readonly dtype: 'float32' | 'float64';
      readonly shape: readonly number[];
      readonly values: ArrayLike<number>;
    }
  | { readonly dtype: 'string'; readonly text: string };

/** A named value, for one of TensorBoard's plugins. */
export interface SummaryValue {
  readonly tag: string;
  readonly tensor: SummaryTensor;
  /** Plugin that shows it: scalars, histograms, graph_keras_model, hparams. */
  readonly plugin: string;
  /** Data of the plugin. @default none */
  readonly content?: Uint8Array;
}

const DTYPES = { float32: 1, float64: 2, string: 7 } as const;
/** Summaries that wait to be written at most. */
const MAX_PENDING_EVENTS = 200;

/** A file of events, which is written in parts: each flush adds whole records, or nothing. */
export class EventFile {
  readonly path: string;
  readonly #now: () => number;
  #pending: Buffer[];
  #size = 0;

  /**
   * @param dir folder of the file, which is created with the first flush
   * @param index number that tells apart files that a process makes in the same second
   * @param now seconds since 1970
   */
  constructor(dir: string, index: number, now: () => number = () => Date.now() / 1000) {
    this.#now = now;
    const name = `events.out.tfevents.${Math.floor(now())}.${hostname()}.${process.pid}.${index}.v2`;
    this.path = join(dir, name);
    this.#pending = [frameRecord(encodeVersion(Math.floor(now())))];
  }

  /** Adds values of a step. @param step from 0 */
  add(step: number, values: readonly SummaryValue[]): void {
    for (const value of values) this.#pending.push(frameRecord(encodeSummary(this.#now(), step, value)));
  }

  /** Whether so much waits that it should be written. */
  get isFull(): boolean {
    return this.#pending.length >= MAX_PENDING_EVENTS;
  }

  /** Writes what was added. @throws Error with a sentence that names the file; it then ends with an earlier record */
  async flush(): Promise<void> {
    if (this.#pending.length === 0) return;
    const bytes = Buffer.concat(this.#pending);
    try {
      await makeFolder(join(this.path, '..'));
      const file = await open(this.path, 'a');
      try {
        await file.writeFile(bytes);
      } catch (error) {
        await file.truncate(this.#size).catch(() => undefined);
        throw error;
      } finally {
        await file.close();
      }
    } catch (error) {
      // The first record says what the file is; the others are dropped, since a full disk may stay full.
      this.#pending = this.#size === 0 ? this.#pending.slice(0, 1) : [];
      throw new Error(`${this.path} could not be written: ${describeDiskError(error)}.`, { cause: error });
    }
    this.#size += bytes.length;
    this.#pending = [];
  }
}

/** First event of a file. */
function encodeVersion(wallTime: number): Uint8Array {
  const event = protobuf.Writer.create();
  event.uint32(tag(1, FIXED64)).double(wallTime);
  event.uint32(tag(3, BYTES)).string('brain.Event:2');
  event
    .uint32(tag(10, BYTES))
    .fork()
    .uint32(tag(1, BYTES))
    .string('tensorflow.core.util.events_writer')
    .ldelim();
  return event.finish();
}

/**
 * Event with one value, byte for byte as TensorFlow writes it.
 * @param wallTime seconds since 1970
 */
export function encodeSummary(wallTime: number, step: number, value: SummaryValue): Uint8Array {
  const event = protobuf.Writer.create();
  event.uint32(tag(1, FIXED64)).double(wallTime);
  if (step !== 0) event.uint32(tag(2, VARINT)).int64(step);
  event.uint32(tag(5, BYTES)).fork(); // summary
  event.uint32(tag(1, BYTES)).fork(); // its value
  event.uint32(tag(1, BYTES)).string(value.tag);
  event.uint32(tag(8, BYTES)).fork();
  writeTensor(event, value.tensor);
  event.ldelim();
  event.uint32(tag(9, BYTES)).fork().uint32(tag(1, BYTES)).fork(); // metadata and its plugin_data
  event.uint32(tag(1, BYTES)).string(value.plugin);
  if (value.content !== undefined) event.uint32(tag(2, BYTES)).bytes(value.content);
  return event.ldelim().ldelim().ldelim().ldelim().finish();
}

function writeTensor(writer: protobuf.Writer, tensor: SummaryTensor): void {
  writer.uint32(tag(1, VARINT)).int32(DTYPES[tensor.dtype]);
  writer.uint32(tag(2, BYTES)).fork();
  for (const size of tensor.dtype === 'string' ? [] : tensor.shape)
    writer.uint32(tag(2, BYTES)).fork().uint32(tag(1, VARINT)).int64(size).ldelim();
  writer.ldelim();
  if (tensor.dtype === 'string') {
    writer.uint32(tag(8, BYTES)).string(tensor.text);
    return;
  }
  const { dtype, values } = tensor;
  const bytes = Buffer.alloc(values.length * (dtype === 'float32' ? 4 : 8));
  for (let i = 0; i < values.length; i++) {
    if (dtype === 'float32') bytes.writeFloatLE(values[i] as number, 4 * i);
    else bytes.writeDoubleLE(values[i] as number, 8 * i);
  }
  writer.uint32(tag(4, BYTES)).bytes(bytes);
}

/** Wire types of protobuf. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;

/** Tag of a field of protobuf. */
export const tag = (field: number, wireType: number): number => (field << 3) | wireType;

/**
 * Record of a TFRecord file: length (uint64), its checksum, the data, its checksum, all little-endian.
 * @example
 * await appendFile(path, frameRecord(event));
 */
export function frameRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(data.length + 16);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc32c(data), 12 + data.length);
  return record;
}

/** Remainders of CRC-32C (Castagnoli), with the polynomial's bits reversed. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

/** CRC-32C, rotated and with a constant added, as TFRecord stores it: the checksum of data that contains checksums stays good. */
export function maskedCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] as number);
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

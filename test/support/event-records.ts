import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import protobuf from 'protobufjs/minimal.js';

/** A value that an event file contains. */
export interface ReadValue {
  readonly step: number;
  readonly tag: string;
  readonly plugin: string;
  readonly content: string;
  /** Numbers of the tensor, or its text. */
  readonly values: readonly number[] | string;
  readonly shape: readonly number[];
}

/** CRC-32C bit by bit, masked as TFRecord has it. */
function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** Data of the records of a TFRecord file. @throws Error at a record that is cut off or has a wrong checksum */
export function readRecords(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    const data = bytes.subarray(at + 12, at + 12 + length);
    if (bytes.readUInt32LE(at + 8) !== maskedCrc(bytes.subarray(at, at + 8)))
      throw new Error(`The length of the record at ${at} has a wrong checksum.`);
    if (bytes.readUInt32LE(at + 12 + length) !== maskedCrc(data))
      throw new Error(`The record at ${at} has a wrong checksum.`);
    records.push(data);
    at += length + 16;
  }
  return records;
}

type Fields = ReadonlyMap<number, readonly (Uint8Array | number)[]>;

/** Fields of a message of protobuf by number. */
export function readFields(bytes: Uint8Array): Fields {
  const fields = new Map<number, (Uint8Array | number)[]>();
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const read = { 0: () => Number(reader.int64()), 1: () => reader.double(), 2: () => reader.bytes() };
    const value = read[(tag & 7) as 0 | 1 | 2]();
    fields.set(tag >>> 3, [...(fields.get(tag >>> 3) ?? []), value]);
  }
  return fields;
}

const bytesOf = (fields: Fields, field: number): Uint8Array =>
  (fields.get(field)?.[0] as Uint8Array | undefined) ?? new Uint8Array();
const textOf = (fields: Fields, field: number): string => Buffer.from(bytesOf(fields, field)).toString();

/** Values of an event; none for the first one of a file. */
export function readValues(event: Uint8Array): ReadValue[] {
  const fields = readFields(event);
  const step = (fields.get(2)?.[0] as number | undefined) ?? 0;
  const values = readFields(bytesOf(fields, 5)).get(1) ?? [];
  return values.map((bytes) => {
    const value = readFields(bytes as Uint8Array);
    const tensor = readFields(bytesOf(value, 8));
    const plugin = readFields(bytesOf(readFields(bytesOf(value, 9)), 1));
    const sizes = readFields(bytesOf(tensor, 2)).get(2) ?? [];
    const content = Uint8Array.from(bytesOf(tensor, 4)).buffer;
    const dtype = tensor.get(1)?.[0];
    return {
      step,
      tag: textOf(value, 1),
      plugin: textOf(plugin, 1),
      content: textOf(plugin, 2),
      values:
        dtype === 7
          ? textOf(tensor, 8)
          : [...(dtype === 1 ? new Float32Array(content) : new Float64Array(content))],
      shape: sizes.map((size) => (readFields(size as Uint8Array).get(1)?.[0] as number | undefined) ?? 0),
    };
  });
}

/** Values of all event files in a folder, in the order of the files' names. */
export async function readEventFolder(dir: string): Promise<ReadValue[]> {
  const names = (await readdir(dir)).filter((name) => name.startsWith('events.out.tfevents.')).sort();
  const files = await Promise.all(names.map((name) => readFile(join(dir, name))));
  return files.flatMap((bytes) => readRecords(bytes).flatMap(readValues));
}

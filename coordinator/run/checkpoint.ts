import { createHash } from 'node:crypto';
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { jobSchema } from '../../shared/model/job.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { makeFolder } from '../files/make-folder.ts';
import { readRegularFile } from '../files/read-file.ts';
import { writeFileAtomic, type WriteOptions } from '../files/write-file.ts';
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const header = v.object({
  /** The epoch at hand, from 1, the steps done in it, and the steps done in all. */
  position: v.object({ epoch: v.pipe(count, v.minValue(1)), step: count, steps: count }),
  /** Sums over what is done of the epoch. */
  tally: v.object({ samples: count, lossSum: v.number(), correct: count, seconds: v.number() }),
  job: jobSchema,
  /** Of an exact run: what its engines answer. */
  knownAnswer: v.optional(v.string()),
  /** SHA-256 of what the data holds; missing in checkpoints of earlier versions. */
  dataDigest: v.optional(v.string()),
  vectors: v.array(v.object({ name: v.string(), length: count })),
});
type Header = v.InferOutput<typeof header>;
/** How far a run has come. */
export type Position = Header['position'];
export type EpochTotals = Header['tally'];

/** A run between two steps: with the data, all that is needed to go on to the same end. */
export interface Checkpoint extends Omit<Header, 'vectors'> {
  /** By name, 'weights' among them; the others are the optimizer's. */
  readonly vectors: Readonly<Record<string, Float32Array>>;
}

const MAGIC = 'gradcast checkpoint 1\n';
const DIGEST_BYTES = 32;
const MAX_KEPT_CHECKPOINTS = 3;
/** Steps of a checkpoint, in the name of its file. */
export const CHECKPOINT_FILE = /^checkpoint-(\d+)\.bin$/;
export const checkpointName = (steps: number): string => `checkpoint-${String(steps).padStart(9, '0')}.bin`;
/** What a process that was killed while it wrote has left. */
const UNFINISHED_FILE = /^checkpoint-\d+\.bin\.\d+$/;

/**
 * The bytes of a checkpoint: the magic line, the length of the header (uint32, little-endian), the header (JSON), zeros
 * up to a multiple of 4, the vectors (float32, little-endian), and the SHA-256 of all that.
 * @throws Error with a sentence if a value is not finite, or if it could not be read again: nothing of the kind shall take
 * the place of one that can
 */
export function encodeCheckpoint({ vectors, ...rest }: Checkpoint): Buffer {
  assertFinite(vectors, 'the state of this step cannot be saved: ');
  const named = Object.entries(vectors);
  const lengths = named.map(([name, { length }]) => ({ name, length }));
  const json = JSON.stringify({ ...rest, vectors: lengths });
  const { success } = v.safeParse(header, JSON.parse(json));
  if (!success) throw new Error('the state of this step cannot be saved: its sums are not finite.');
  const text = Buffer.from(json);
  const start = alignToFloat(MAGIC.length + 4 + text.length);
  const bytes = Buffer.alloc(
    start + named.reduce((sum, [, vector]) => sum + vector.byteLength, DIGEST_BYTES),
  );
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(text.length, MAGIC.length);
  text.copy(bytes, MAGIC.length + 4);
  let at = start;
  for (const [, vector] of named) {
    Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).copy(bytes, at);
    at += vector.byteLength;
  }
  checksum(bytes).copy(bytes, at);
  return bytes;
}

/** @throws Error with a part of a sentence that says what is wrong, whatever the bytes are */
export function decodeCheckpoint(bytes: Buffer): Checkpoint {
  if (bytes.length < MAGIC.length + 4 + DIGEST_BYTES || bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) {
    throw new Error('it is no checkpoint of this version of gradcast');
  }
  if (!checksum(bytes).equals(bytes.subarray(-DIGEST_BYTES))) {
    throw new Error('its checksum is wrong: it was cut off or changed');
  }
  const textBytes = bytes.readUInt32LE(MAGIC.length);
  const text = bytes.toString('utf8', MAGIC.length + 4, MAGIC.length + 4 + textBytes);
  const { vectors: lengths, ...rest } = v.parse(header, JSON.parse(text));
  const vectors: Record<string, Float32Array> = {};
  let at = alignToFloat(MAGIC.length + 4 + textBytes);
  for (const { name, length } of lengths) {
    vectors[name] = new Float32Array(Uint8Array.from(bytes.subarray(at, at + length * 4)).buffer);
    at += length * 4;
  }
  if (at !== bytes.length - DIGEST_BYTES) throw new Error('its vectors have another length than it says');
  assertFinite(vectors, '');
  return { ...rest, vectors };
}

/** Weights that are not finite train no more, and make every later step the same. */
function assertFinite(vectors: Checkpoint['vectors'], what: string): void {
  for (const [name, values] of Object.entries(vectors)) {
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at !== -1)
      throw new Error(`${what}value ${at} of its ${name} is ${values[at]}${what === '' ? '' : '.'}`);
  }
}

/**
 * Writes a checkpoint so that at every instant those in the folder are whole. When it is on disk, and only then, older ones
 * than the last few are removed. Files of later steps stay: none of them could be used when the run was resumed.
 * @throws Error with a sentence that names the file and why it could not be written
 */
export async function saveCheckpoint(
  dir: string,
  { steps }: Position,
  bytes: Buffer,
  options: WriteOptions = {},
): Promise<void> {
  await makeFolder(dir);
  await writeFileAtomic(join(dir, checkpointName(steps)), bytes, options);
  await syncFolder(dir);
  const halves = (await readdir(dir)).filter((file) => UNFINISHED_FILE.test(file));
  const earlier = (await checkpointFiles(dir)).filter((file) => stepsFromName(file) <= steps);
  // What cannot be removed costs space, but no run.
  await Promise.allSettled(
    [...earlier.slice(MAX_KEPT_CHECKPOINTS), ...halves].map((file) => rm(join(dir, file), { force: true })),
  );
}

/**
 * The newest checkpoint of a folder that is whole.
 * @param warn hears of those that are not
 * @throws Error with a sentence if there is none
 */
export async function loadCheckpoint(dir: string, warn: (line: string) => void): Promise<Checkpoint> {
  for (const file of await checkpointFiles(dir)) {
    const path = join(dir, file);
    try {
      return decodeCheckpoint(await readRegularFile(path));
    } catch (error) {
      warn(`${path} cannot be used (${describeDiskError(error)}).`);
    }
  }
  throw new Error(`There is no checkpoint in ${dir} to go on from.`);
}

const stepsFromName = (file: string): number => Number(CHECKPOINT_FILE.exec(file)?.[1]);

/** Whether there are checkpoints of later steps, none of which may be resumed from once a run has gone back. */
export async function hasLaterCheckpoint(dir: string, steps: number): Promise<boolean> {
  return (await checkpointFiles(dir)).some((file) => stepsFromName(file) > steps);
}

/** Removes the checkpoints of later steps. @throws Error if one stays */
export async function removeLaterCheckpoints(dir: string, steps: number): Promise<void> {
  const later = (await checkpointFiles(dir)).filter((file) => stepsFromName(file) > steps);
  await Promise.all(later.map((file) => rm(join(dir, file), { force: true })));
}

/** The newest first. */
async function checkpointFiles(dir: string): Promise<string[]> {
  const files = await readdir(dir).catch((): string[] => []);
  return files
    .filter((file) => CHECKPOINT_FILE.test(file))
    .sort((a, b) => stepsFromName(b) - stepsFromName(a));
}

/** Makes a rename last through a power cut; where folders cannot be opened, nothing is to be done. */
async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r').catch(() => null);
  try {
    await folder?.sync().catch(() => undefined);
  } finally {
    await folder?.close();
  }
}

const alignToFloat = (bytes: number): number => (bytes + 3) & ~3;

const checksum = (bytes: Buffer): Buffer =>
  createHash('sha256').update(bytes.subarray(0, -DIGEST_BYTES)).digest();

/**
 * Removes the earlier checkpoints of a run that is finished: the last one is all that training it longer needs. Where that
 * one is missing, since the disk was full, the earlier ones stay.
 * @param steps of the whole run
 */
export async function removeEarlierCheckpoints(dir: string, steps: number): Promise<void> {
  const last = checkpointName(steps);
  const files = await readdir(dir).catch((): string[] => []);
  if (!files.includes(last)) return;
  const earlier = files.filter((file) => CHECKPOINT_FILE.test(file) && file < last);
  // What cannot be removed costs space, but no run.
  await Promise.allSettled(earlier.map((file) => rm(join(dir, file), { force: true })));
}

import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { jobSchema, type Job } from '../../shared/model/job.ts';
import { plateauStateSchema, type PlateauState } from '../optimizer/plateau.ts';
import { upgradeJob } from '../../shared/model/stored-job.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { makeFolder } from '../files/make-folder.ts';
import { readRegularFile } from '../files/read-file.ts';
import { writeFileAtomic, type WriteOptions } from '../files/write-file.ts';
import type { SchemaFields } from '../../shared/util/schema-fields.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** Sums of version 0.1 had the number of correct samples as their only metric. */
function upgradeTally(stored: unknown): unknown {
  const { correct } = (stored ?? {}) as { readonly correct?: unknown };
  return typeof correct === 'number' ? { ...(stored as object), metrics: [correct] } : stored;
}

/** Position of a run between two steps. */
export interface Position {
  /** Current epoch, from 1. */
  readonly epoch: number;
  /** Steps done in this epoch. */
  readonly step: number;
  /** Steps done in the run. */
  readonly steps: number;
}

/** Sums over the samples of an epoch so far. */
export interface EpochTotals {
  readonly samples: number;
  readonly lossSum: number;
  readonly metrics: readonly number[];
  readonly seconds: number;
}

/** State of callbacks by name; vectors are values of type Float32Array. */
export interface CallbackStates {
  /** Learning rate that callbacks have set; null if they have not. */
  readonly learningRate: number | null;
  readonly states: Record<string, Record<string, unknown>>;
}

/** State of a run between two steps. With the data set, a resumed run ends with the same weights. */
export interface Checkpoint {
  readonly position: Position;
  readonly tally: EpochTotals;
  readonly job: Job;
  /** Fingerprint of the engines of an exact run. */
  readonly engineFingerprint?: string | undefined;
  /** SHA-256 of the data set's tensors; missing in checkpoints of earlier versions. */
  readonly dataDigest?: string | undefined;
  /** Weights of training samples by class. */
  readonly classWeights?: Record<string, number> | undefined;
  /** State of a plateau schedule; missing without one. */
  readonly plateau?: PlateauState | undefined;
  /** State of callbacks by name; missing if there is none. */
  readonly callbacks?: CallbackStates | undefined;
  /** Vectors by name: 'weights', and the optimizer's state. */
  readonly vectors: Readonly<Record<string, Float32Array>>;
}

/** Header of a checkpoint's file, in which vectors have their lengths only. */
interface Header extends Omit<Checkpoint, 'vectors'> {
  readonly vectors: { readonly name: string; readonly length: number }[];
}

const header = v.object({
  position: v.object({
    epoch: v.pipe(count, v.minValue(1)),
    step: count,
    steps: count,
  } satisfies SchemaFields<Position>),
  tally: v.pipe(
    v.unknown(),
    v.transform(upgradeTally),
    v.object({
      samples: count,
      lossSum: v.number(),
      // JSON has null for NaN, the sum of a metric that is not defined.
      metrics: v.pipe(
        v.array(
          v.pipe(
            v.nullable(v.number()),
            v.transform((sum) => sum ?? NaN),
          ),
        ),
        v.readonly(),
      ),
      seconds: v.number(),
    } satisfies SchemaFields<EpochTotals>),
  ),
  job: v.pipe(v.unknown(), v.transform(upgradeJob), jobSchema),
  engineFingerprint: v.optional(v.string()),
  dataDigest: v.optional(v.string()),
  classWeights: v.optional(v.record(v.string(), v.number())),
  plateau: v.optional(plateauStateSchema),
  callbacks: v.optional(
    v.object({
      learningRate: v.nullable(v.number()),
      states: v.record(v.string(), v.record(v.string(), v.unknown())),
    } satisfies SchemaFields<CallbackStates>),
  ),
  vectors: v.array(v.object({ name: v.string(), length: count })),
} satisfies SchemaFields<Header>);

const MAGIC = 'gradcast checkpoint 1\n';
const DIGEST_BYTES = 32;
const MAX_KEPT_CHECKPOINTS = 3;
/** File name of a checkpoint, with the steps done. */
const CHECKPOINT_FILE = /^checkpoint-(\d+)\.bin$/;
export const checkpointName = (steps: number): string => `checkpoint-${String(steps).padStart(9, '0')}.bin`;
/** Whether the folder of a run has a checkpoint. */
export function hasCheckpoint(runDir: string): boolean {
  const dir = join(runDir, 'checkpoints');
  return existsSync(dir) && readdirSync(dir).some((file) => CHECKPOINT_FILE.test(file));
}
/** File that a process has left that was killed while writing. */
const UNFINISHED_FILE = /^checkpoint-\d+\.bin\.\d+$/;

/**
 * Encodes a checkpoint: the magic line, the length of the header (uint32, little-endian), the header (JSON), zeros up to a
 * multiple of 4, the vectors (float32, little-endian), and the SHA-256 of all preceding bytes.
 * @throws Error with a sentence if the checkpoint could not be resumed from, since it would replace one that can: a value is
 * not finite, or the header does not fit its schema
 */
export function encodeCheckpoint(checkpoint: Checkpoint): Buffer {
  const { vectors, ...rest } = withoutCallbackVectors(checkpoint);
  assertFinite(vectors, 'the state of this step cannot be saved: ');
  const entries = Object.entries(vectors);
  const lengths = entries.map(([name, { length }]) => ({ name, length }));
  const json = JSON.stringify({ ...rest, vectors: lengths });
  const { success } = v.safeParse(header, JSON.parse(json));
  if (!success) throw new Error('the state of this step cannot be saved: its sums are not finite.');
  const text = Buffer.from(json);
  const start = alignToFloat(MAGIC.length + 4 + text.length);
  const bytes = Buffer.alloc(
    start + entries.reduce((sum, [, vector]) => sum + vector.byteLength, DIGEST_BYTES),
  );
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(text.length, MAGIC.length);
  text.copy(bytes, MAGIC.length + 4);
  let at = start;
  for (const [, vector] of entries) {
    Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).copy(bytes, at);
    at += vector.byteLength;
  }
  checksum(bytes).copy(bytes, at);
  return bytes;
}

/** Decodes a checkpoint. @throws Error with a part of a sentence that says what is wrong with the bytes */
export function decodeCheckpoint(bytes: Buffer): Checkpoint {
  if (bytes.length < MAGIC.length + 4 + DIGEST_BYTES || bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) {
    throw new Error('it is not a checkpoint of this version of gradcast');
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
  if (at !== bytes.length - DIGEST_BYTES) throw new Error('its vectors do not have the length in its header');
  assertFinite(vectors, '');
  return withCallbackVectors({ ...rest, vectors });
}

/** Prefix of the names of vectors that belong to callbacks. */
const CALLBACK_VECTOR = 'callbacks/';

/** Moves the vectors of callbacks' states to the checkpoint's. */
function withoutCallbackVectors(checkpoint: Checkpoint): Checkpoint {
  const { callbacks } = checkpoint;
  if (callbacks === undefined) return checkpoint;
  const vectors: Record<string, Float32Array> = { ...checkpoint.vectors };
  const states: Record<string, Record<string, unknown>> = {};
  for (const [name, state] of Object.entries(callbacks.states)) {
    const values: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(state)) {
      if (value instanceof Float32Array) vectors[`${CALLBACK_VECTOR}${name}/${key}`] = value;
      else values[key] = value;
    }
    states[name] = values;
  }
  return { ...checkpoint, vectors, callbacks: { ...callbacks, states } };
}

/** The inverse of withoutCallbackVectors. */
function withCallbackVectors(checkpoint: Checkpoint): Checkpoint {
  const { callbacks } = checkpoint;
  if (callbacks === undefined) return checkpoint;
  const vectors: Record<string, Float32Array> = {};
  const states = new Map(Object.entries(callbacks.states));
  for (const [path, vector] of Object.entries(checkpoint.vectors)) {
    const end = path.lastIndexOf('/');
    const name = path.slice(CALLBACK_VECTOR.length, end);
    const state = path.startsWith(CALLBACK_VECTOR) ? states.get(name) : undefined;
    if (state === undefined) vectors[path] = vector;
    else states.set(name, { ...state, [path.slice(end + 1)]: vector });
  }
  return { ...checkpoint, vectors, callbacks: { ...callbacks, states: Object.fromEntries(states) } };
}

/** A run cannot recover from values that are not finite: they spread to every later step. */
function assertFinite(vectors: Checkpoint['vectors'], prefix: string): void {
  for (const [name, values] of Object.entries(vectors)) {
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at !== -1)
      throw new Error(`${prefix}value ${at} of its ${name} is ${values[at]}${prefix === '' ? '' : '.'}`);
  }
}

/**
 * Writes a checkpoint, and removes all but the last few earlier ones once it is on disk. At every instant the checkpoints in
 * the folder are whole. Files of later steps stay: they were not usable when this run was resumed, so they are skipped.
 * @throws Error with a sentence that names the file and the reason
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
  const unfinished = (await readdir(dir)).filter((file) => UNFINISHED_FILE.test(file));
  const earlier = (await checkpointFiles(dir)).filter((file) => stepsFromName(file) <= steps);
  // A file that cannot be removed only costs space.
  await Promise.allSettled(
    [...earlier.slice(MAX_KEPT_CHECKPOINTS), ...unfinished].map((file) =>
      rm(join(dir, file), { force: true }),
    ),
  );
}

/**
 * Loads the newest checkpoint in a folder that can be used.
 * @param warn called for each newer one that cannot be used
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
  throw new Error(`There is no checkpoint in ${dir} to resume from.`);
}

const stepsFromName = (file: string): number => Number(CHECKPOINT_FILE.exec(file)?.[1]);

/** Steps of the newest checkpoint in a folder; null if there is none. */
export async function lastCheckpointSteps(dir: string): Promise<number | null> {
  const [newest] = await checkpointFiles(dir);
  return newest === undefined ? null : stepsFromName(newest);
}

/** Whether there are checkpoints of later steps. After a return to an earlier step, a run must not be resumed from them. */
export async function hasLaterCheckpoint(dir: string, steps: number): Promise<boolean> {
  return (await checkpointFiles(dir)).some((file) => stepsFromName(file) > steps);
}

/** Removes the checkpoints of later steps. @throws Error if one cannot be removed */
export async function removeLaterCheckpoints(dir: string, steps: number): Promise<void> {
  const later = (await checkpointFiles(dir)).filter((file) => stepsFromName(file) > steps);
  await Promise.all(later.map((file) => rm(join(dir, file), { force: true })));
}

/** Names of the checkpoints in a folder, the newest first. */
async function checkpointFiles(dir: string): Promise<string[]> {
  const files = await readdir(dir).catch((): string[] => []);
  return files
    .filter((file) => CHECKPOINT_FILE.test(file))
    .sort((a, b) => stepsFromName(b) - stepsFromName(a));
}

/** Makes a rename survive a power cut. Some systems cannot open folders; there it does nothing. */
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
 * Removes the earlier checkpoints of a finished run: training it longer needs only the last one. If that is missing, because
 * the disk was full, the earlier ones stay.
 * @param steps number of steps of the whole run
 */
export async function removeEarlierCheckpoints(dir: string, steps: number): Promise<void> {
  const last = checkpointName(steps);
  const files = await readdir(dir).catch((): string[] => []);
  if (!files.includes(last)) return;
  const earlier = files.filter((file) => CHECKPOINT_FILE.test(file) && file < last);
  // A file that cannot be removed only costs space.
  await Promise.allSettled(earlier.map((file) => rm(join(dir, file), { force: true })));
}

import { statSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, freemem, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { errorMessage } from '../../shared/util/error-message.ts';
import { findAddon, nativeCandidates } from '../engine/locate/candidates.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import { engineCacheDir } from '../engine/locate/cache.ts';
import { threadsPerWorker } from '../engine/native/load-native.ts';
import { compareConfigs, type Comparison, type Config } from './compare-configs.ts';
import * as v from 'valibot';
import { makeFolder } from '../util/make-folder.ts';

/** Samples of a step, shared among the processes. */
const BATCH_SIZE = 128;
const TIMEOUT_MS = 40_000;
/** What a process with TensorFlow takes. */
const PROCESS_BYTES = 500 * 2 ** 20;

export interface MachineProfile {
  readonly choice: EngineChoice;
  /** Threads of each process, if the person has said. */
  readonly threads?: number | undefined;
  /** Hears what is being done and what came out, a line each. */
  readonly note: (line: string) => void;
  readonly signal?: AbortSignal;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Whether others compute here just now: what is measured then is not kept. */
  readonly isBusy: boolean;
  /** What identifies the native engine that would be used; null if there is none. */
  readonly engineKey: string | null;
  readonly cacheFile: string;
  readonly compare: (one: Config, other: Config, signal: AbortSignal) => Promise<Comparison>;
}

/** What this machine says of itself. @param command runs gradcast */
export function readMachineProfile(
  command: readonly [string, ...string[]],
): Omit<MachineProfile, 'choice' | 'note'> {
  const own = Number(process.env.TF_NUM_INTRAOP_THREADS);
  return {
    threads: Number.isInteger(own) && own > 0 ? own : undefined,
    cores: availableParallelism(),
    // Less than what is free where a container is given less.
    memoryBytes: Math.min(process.availableMemory(), freemem()),
    isBusy: (loadavg()[0] ?? 0) > availableParallelism(),
    engineKey: nativeEngineKey(),
    cacheFile: join(dirname(engineCacheDir()), 'shapes.json'),
    compare: (one, other, signal) => compareConfigs(one, other, command, signal),
  };
}

/**
 * How many worker processes make the most of this machine. WebAssembly has one thread: one process a core. The native
 * engine is measured both ways, one process of n threads and n processes of one, and what came out is remembered.
 */
export async function chooseWorkerCount(options: MachineProfile): Promise<number> {
  const { choice, threads, note, cores, memoryBytes, engineKey, cacheFile, compare } = options;
  if (choice === 'wasm' || engineKey === null || cores === 1) return cores;
  if (threads !== undefined) return Math.max(1, Math.floor(cores / threads));
  const processes = Math.min(cores, Math.floor(memoryBytes / PROCESS_BYTES));
  if (processes < 2) return 1;

  const key = `${engineKey}, ${cores} cores`;
  const known = loadChoice(cacheFile, key);
  if (known !== null) {
    note(`${known.line} (measured before)`);
    return known.workers;
  }
  const together = { processes: 1, threads: cores, batch: BATCH_SIZE };
  const apart = {
    processes,
    threads: threadsPerWorker(cores, processes),
    batch: Math.max(1, Math.round(BATCH_SIZE / processes)),
  };
  const often = options.isBusy ? 'not kept: others compute here just now' : 'once';
  note(`Measuring ${describeConfig(together)} against ${describeConfig(apart)} (some seconds; ${often}) ...`);
  try {
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    const signal = options.signal === undefined ? limit : AbortSignal.any([options.signal, limit]);
    const result = await compare(together, apart, signal);
    const workers = !result.gpu && result.stepMs[1] < result.stepMs[0] ? processes : 1;
    const line = result.gpu
      ? 'Using one worker process: a GPU needs no more.'
      : workers === 1
        ? describeChoice(together, apart, ...result.stepMs)
        : describeChoice(apart, together, result.stepMs[1], result.stepMs[0]);
    if (!options.isBusy) saveChoice(cacheFile, key, { workers, line });
    note(line);
    return workers;
  } catch (error) {
    if (options.signal?.aborted === true) return processes;
    const why = errorMessage(error);
    note(`It could not be measured (${why}): ${describeConfig(apart)}.`);
    return processes;
  }
}

function describeChoice(taken: Config, other: Config, takenMs: number, otherMs: number): string {
  return (
    `Using ${describeConfig(taken)}, the fastest here: ${takenMs.toFixed(1)} ms for ${BATCH_SIZE} samples; ` +
    `${describeConfig(other)}: ${otherMs.toFixed(1)} ms`
  );
}

const describeConfig = ({ processes, threads }: Config): string =>
  `${processes} worker process${processes === 1 ? '' : 'es'} with ${threads} thread${threads === 1 ? '' : 's'}`;

/** Another engine, another build of it or another processor is measured anew. */
function nativeEngineKey(): string | null {
  const best = nativeCandidates().find(({ missing }) => missing === null);
  if (best === undefined) return null;
  const addon = findAddon(best.package, best.folder);
  const built = addon === null ? '' : String(Math.round(statSync(addon).mtimeMs));
  return [best.package, best.folder ?? 'installed', built, cpus()[0]?.model.trim() ?? 'CPU'].join(', ');
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const choicesSchema = v.record(v.string(), v.object({ workers: count, line: v.string() }));

/** How many workers were found to be best, and what was said about it. */
export type CachedChoice = v.InferOutput<typeof choicesSchema>[string];

/** @returns null if this was not measured yet, or the file cannot be read */
export function loadChoice(file: string, key: string): CachedChoice | null {
  return readChoices(file)[key] ?? null;
}

/** Writes it to the file; if that fails or the file is cut short, it will be measured again. */
export function saveChoice(file: string, key: string, shape: CachedChoice): void {
  try {
    makeFolder(dirname(file));
    writeFileSync(file, `${JSON.stringify({ ...readChoices(file), [key]: shape }, null, 2)}\n`);
  } catch {
    // As said.
  }
}

function readChoices(file: string): Record<string, CachedChoice> {
  try {
    const { success, output } = v.safeParse(choicesSchema, JSON.parse(readFileSync(file, 'utf8')) as unknown);
    return success ? output : {};
  } catch {
    return {};
  }
}

import { availableParallelism } from 'node:os';
import type { LogFormat } from '../shared/options.ts';
import { devicesHere, visibleDevice, type Devices } from './devices.ts';
import { nativeCandidates } from './engine/candidates.ts';
import type { EngineChoice } from './engine/choose.ts';
import { threadsPerWorker } from './engine/load-native.ts';
import { leaveWhenAsked, TERMINATED } from './leave-when-asked.ts';
import { ASKED_TO_LEAVE, ENGINE_DIED, runProcesses, type WorkerSpec } from './processes.ts';
import { shapeOfThisMachine, workersHere } from './shape/workers-here.ts';
import { EngineDiedError } from './thread/threaded-engine.ts';
import { work } from './work.ts';

const INTERRUPTED = 130;

export interface WorkerFlags {
  readonly token?: string;
  readonly fingerprint?: string;
  readonly name: string;
  readonly workers: number | 'auto';
  /** Of each worker's native engine. */
  readonly threads?: number;
  readonly devices?: Devices;
  readonly engine: EngineChoice;
  readonly quiet?: boolean;
  readonly log: LogFormat;
}

interface WorkerProgram {
  /** What runs gradcast, for the processes that it starts. */
  readonly file: string;
  /** The same, as a person types it. */
  readonly typed: string;
  /** Gets the engine, if it is missing and can be had. */
  readonly prepareEngine: (signal: AbortSignal) => Promise<void>;
  /** The program of the engine's thread. */
  readonly threadFile: string;
}

/**
 * One worker in this process, or several in processes of their own, until the run is over.
 * @returns the exit code
 */
export async function runWorkerCommand(
  url: string,
  flags: WorkerFlags,
  program: WorkerProgram,
): Promise<number> {
  if (!URL.canParse(url) || !/^wss?:$/.test(new URL(url).protocol)) {
    throw new Error(`'${url}' is no address of a coordinator. It looks like ws://192.168.1.20:2718.`);
  }
  const { hash } = new URL(url);
  if (hash !== '') {
    throw new Error(`'${url}' ends in ${hash}, which is no part of an address. Give a token with --token.`);
  }
  const leaving = leaveWhenAsked();
  const { note, info } = await logOf(flags);
  const sibling = process.env.GRADCAST_SIBLING !== undefined;
  // Whoever holds the leash of this worker has seen to the engine; and what is got here is none for GPUs.
  if (process.env.GRADCAST_LEASH === undefined && flags.devices === undefined) {
    await program.prepareEngine(leaving);
    if (leaving.aborted) return INTERRUPTED;
  }
  const workers = await workersWanted(flags, program, leaving, info);
  if (leaving.aborted) return INTERRUPTED;
  if (workers !== null) return runSeveral(url, flags, workers, { program, signal: leaving, note });
  if (flags.threads !== undefined) process.env.TF_NUM_INTRAOP_THREADS = String(flags.threads);
  try {
    const { token, name, engine, fingerprint } = flags;
    const { threadFile } = program;
    const reason = await work({
      url,
      token,
      fingerprint,
      name,
      engine,
      threadFile,
      signal: leaving,
      info,
      note,
    });
    info(`${name}: ${reason}`);
    // The others go on. Whoever holds the leash has asked all of them by letting go of it.
    return sibling && leaving.reason === TERMINATED ? ASKED_TO_LEAVE : 0;
  } catch (error) {
    if (!sibling || !(error instanceof EngineDiedError)) throw error;
    note(`${flags.name}: ${error.message}`);
    return ENGINE_DIED;
  }
}

/** How a worker says what goes as it should, and what the person should know. */
async function logOf({ quiet, log }: WorkerFlags): Promise<Record<'info' | 'note', (line: string) => void>> {
  const write = (text: string): void => void process.stderr.write(text);
  const text = (line: string): void => write(`${line}\n`);
  const json = log === 'json' ? (await import('../shared/json-log.ts')).jsonLog(write) : null;
  const info = json === null ? text : (line: string): void => json.info(line);
  return {
    info: quiet === true ? () => undefined : info,
    note: json === null ? text : (line) => json.warn(line),
  };
}

/** @returns null for a single one, in this process */
async function workersWanted(
  flags: WorkerFlags,
  { file, typed }: WorkerProgram,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<readonly WorkerSpec[] | null> {
  const { name, engine: choice, devices } = flags;
  if (devices !== undefined) {
    if (flags.workers !== 'auto')
      throw new Error('--devices makes one worker for each GPU; leave --workers away.');
    checkGpuEngine(choice, typed);
    return devicesHere(devices).map((number) => ({
      name: `${name}-gpu${number}`,
      env: visibleDevice(number),
    }));
  }
  let count = flags.workers;
  if (count === 'auto') {
    const machine = shapeOfThisMachine([process.execPath, file]);
    count = await workersHere({
      ...machine,
      threads: flags.threads ?? machine.threads,
      choice,
      signal,
      note,
    });
  }
  if (count === 1) return null;
  return Array.from({ length: count }, (_, i) => ({ name: `${name}-${i + 1}`, env: {} }));
}

function runSeveral(
  url: string,
  flags: WorkerFlags,
  workers: readonly WorkerSpec[],
  { program, signal, note }: { program: WorkerProgram; signal: AbortSignal; note: (line: string) => void },
): Promise<number> {
  const { engine, token, threads, fingerprint } = flags;
  const pin = fingerprint === undefined ? [] : ['--fingerprint', fingerprint];
  const quiet = flags.quiet === true ? ['--quiet'] : [];
  const log = ['--log', flags.log];
  const fairShare = String(threadsPerWorker(availableParallelism(), workers.length));
  return runProcesses({
    workers,
    command: [
      process.execPath,
      program.file,
      'worker',
      url,
      '--workers',
      '1',
      '--engine',
      engine,
      ...pin,
      ...quiet,
      ...log,
    ],
    env: {
      TF_NUM_INTRAOP_THREADS: fairShare,
      ...process.env,
      ...(threads === undefined ? {} : { TF_NUM_INTRAOP_THREADS: String(threads) }),
      GRADCAST_SIBLING: '1',
      ...(token === undefined ? {} : { GRADCAST_TOKEN: token }),
    },
    signal,
    note,
  });
}

/** @throws Error if no engine here would use a GPU */
function checkGpuEngine(choice: EngineChoice, typed: string): void {
  if (choice === 'wasm') throw new Error('WebAssembly computes on the CPU: --devices needs --engine native.');
  if (nativeCandidates().some(({ variant, missing }) => variant === 'gpu' && missing === null)) return;
  throw new Error(`No native TensorFlow for GPUs here. This gets it: ${typed} engine install --gpu`);
}

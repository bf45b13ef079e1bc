import { availableParallelism } from 'node:os';
import { errorMessage } from '../../shared/util/error-message.ts';
import { nativeCandidates } from '../../worker-node/engine/locate/candidates.ts';
import type { InstallReport } from '../../worker-node/engine/install/progress.ts';
import { threadsPerWorker } from '../../worker-node/engine/native/load-native.ts';
import { forkEntry, nextMessage, killOnExit } from './children.ts';
import type { VariantTimes } from './native-variant.ts';
import { KERAS, preparePython, TORCH, type Framework } from './python-environments.ts';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A measured program that trains in processes of its own and is idle while others are measured. */
export interface Baseline {
  readonly name: BaselineName;
  readonly pid: number;
  readonly versions: Readonly<Record<string, string>>;
  /** Trains steps. Resolves with their milliseconds. */
  readonly run: (steps: number) => Promise<number[]>;
  readonly close: () => void;
}

/** Names and descriptions of all baselines. */
export const BASELINES = {
  keras: 'Keras fit step',
  torch: 'PyTorch step',
  ddp: 'PyTorch DDP step, gloo, 2 processes',
  stock: 'stock tfjs-node gradient step',
  captured: 'gradcast captured gradient step',
  'native-1': 'gradcast distributed step, 1 native worker',
  'native-2': 'gradcast distributed step, 2 native workers',
  'wasm-2': 'gradcast distributed step, 2 wasm workers',
  'wasm-threads': 'gradcast distributed step, 1 wasm worker with 2 threads',
} as const;
export type BaselineName = keyof typeof BASELINES;

export interface BaselineOptions {
  readonly batch: number;
  readonly without: ReadonlySet<string>;
  /** Path of a Python to use instead of environments of the bench. */
  readonly python: string | undefined;
  readonly report: InstallReport;
  readonly signal: AbortSignal;
}

/** Starts all baselines one after the other. One that cannot be started is left out and reported with the reason. */
export async function startBaselines(options: BaselineOptions): Promise<Baseline[]> {
  const { batch, report } = options;
  const threads = availableParallelism();
  const hasNative = nativeCandidates().some(({ missing }) => missing === null);
  const started: Baseline[] = [];
  for (const name of Object.keys(BASELINES) as BaselineName[]) {
    if (options.without.has(name)) continue;
    try {
      report.print(`Starting: ${BASELINES[name]}`);
      started.push(await start(name));
    } catch (error) {
      options.signal.throwIfAborted();
      report.print(`Left out: ${BASELINES[name]}. ${errorMessage(error)}`);
    }
  }
  return started;

  function start(name: BaselineName): Promise<Baseline> {
    switch (name) {
      case 'keras':
        return python(name, KERAS, 'keras_fit.py', [batch], threads);
      case 'torch':
        return python(name, TORCH, 'torch_step.py', [batch, threads], threads);
      case 'ddp': {
        const each = threadsPerWorker(threads, 2);
        return python(name, TORCH, 'torch_ddp.py', [batch, each, 2], each);
      }
      case 'stock':
      case 'captured':
        return variant(name);
      case 'native-1':
        return distributed(name, 'native', 1);
      case 'native-2':
        return distributed(name, 'native', 2);
      case 'wasm-2':
        return distributed(name, 'wasm', 2);
      case 'wasm-threads':
        return distributed(name, 'wasm', 1, 2);
    }
  }

  async function python(
    name: BaselineName,
    framework: Framework,
    script: string,
    args: readonly number[],
    threadsPerProcess: number,
  ): Promise<Baseline> {
    const program = options.python ?? (await preparePython(framework, report, options.signal));
    const { child, versions, run } = await startPythonBaseline(program, script, args, threadsPerProcess);
    return { name, pid: child.pid ?? 0, versions, run, close: () => child.stdin?.end() };
  }

  async function variant(name: 'stock' | 'captured'): Promise<Baseline> {
    return forked(name, 'native-variant', [name, String(batch)], (answer) => (answer as VariantTimes).stepMs);
  }

  function distributed(
    name: BaselineName,
    engine: 'native' | 'wasm',
    workers: number,
    engineThreads?: number,
  ): Promise<Baseline> {
    const args = [
      engine,
      String(workers),
      String(batch),
      ...(engineThreads === undefined ? [] : [String(engineThreads)]),
    ];
    return forked(name, 'distributed-run', args, (times) => times as number[], engine);
  }

  async function forked(
    name: BaselineName,
    entry: string,
    args: readonly string[],
    timesOf: (answer: unknown) => number[],
    engine: 'native' | 'wasm' = 'native',
  ): Promise<Baseline> {
    if (engine === 'native' && !hasNative) {
      throw new Error('Native TensorFlow is not installed. Run: node bin/gradcast.js engine install');
    }
    const child = forkEntry(entry, args);
    await nextMessage(child);
    return {
      name,
      pid: child.pid ?? 0,
      versions: { node: process.versions.node },
      run: async (steps) => {
        const answer = nextMessage(child);
        child.send(steps);
        return timesOf(await answer);
      },
      close: () => child.disconnect(),
    };
  }
}

/** A script of bench/baselines/, which speaks the line protocol of lines.py. */
export interface PythonBaseline {
  readonly child: ChildProcess;
  /** Versions of its packages, by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** Trains steps. Resolves with their milliseconds. */
  readonly run: (steps: number) => Promise<number[]>;
}

/**
 * Starts a script of bench/baselines/.
 * @param threads number of threads, set in the environment of the process
 * @throws Error if the process ends before it is ready
 */
export async function startPythonBaseline(
  python: string,
  script: string,
  args: readonly number[],
  threads: number,
): Promise<PythonBaseline> {
  const child = killOnExit(
    spawn(python, [`bench/baselines/${script}`, ...args.map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...process.env,
        TF_NUM_INTRAOP_THREADS: String(threads),
        OMP_NUM_THREADS: String(threads),
        PYTHONDONTWRITEBYTECODE: '1',
      },
    }),
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const line: IteratorResult<string, unknown> = await lines.next();
    if (line.done === true) throw new Error(`${script} ended without an answer`);
    return JSON.parse(line.value) as unknown;
  };
  await once(child, 'spawn');
  const versions = (await next()) as Record<string, string>;
  return {
    child,
    versions,
    run: async (steps) => {
      child.stdin.write(`run ${steps}\n`);
      return (await next()) as number[];
    },
  };
}

import { constants, setPriority } from 'node:os';
import { errorMessage } from '../shared/util/error-message.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import { engineCacheDir } from '../worker-node/engine/locate/cache.ts';
import type { BenchmarkTarget } from '../worker-node/engine/benchmark/benchmark-child.ts';
import { streamReport } from '../worker-node/engine/install/progress.ts';
import { ensureNativeEngine, asSentence } from '../worker-node/engine/ensure-native.ts';

const EXIT_INTERRUPTED = 130;
const PROFILED_STEPS = 20;

export interface EngineFlags {
  readonly json?: boolean;
  readonly profile?: boolean;
  readonly engine: EngineChoice;
  readonly batch: number;
}

export interface InstallFlags {
  readonly gpu?: boolean;
  /** Do not retry soon after a failure, and exit with 0 after one. */
  readonly ifPossible?: boolean;
  /** At low priority, for a process that computes meanwhile; ends when stdin closes. */
  readonly background?: boolean;
}

export type BenchmarkFlags = BenchmarkTarget & { readonly batch: number };

/** How this program is started. */
export interface EngineContext {
  /** Runs gradcast, for the processes that try an engine. */
  readonly programFile: string;
  /** The same, as a person types it. */
  readonly commandLine: string;
}

/** `gradcast engine`: prints what this machine has. @returns the exit code */
export async function runEngine(
  flags: EngineFlags,
  { programFile, commandLine }: EngineContext,
): Promise<number> {
  if (flags.profile === true) {
    await printProfile(flags);
    return 0;
  }
  const { describeDiagnosis, diagnose, selectedEngine } = await import('../worker-node/engine/doctor.ts');
  const diagnosis = await runInterruptible((signal) => diagnose(programFile, signal));
  if (diagnosis === null) return EXIT_INTERRUPTED;
  const text =
    flags.json === true
      ? JSON.stringify(diagnosis, null, 2)
      : describeDiagnosis(diagnosis, commandLine).join('\n');
  process.stdout.write(`${text}\n`);
  return selectedEngine(diagnosis) === undefined ? 1 : 0;
}

/** `gradcast engine install`. @returns the exit code */
export async function runInstall(flags: InstallFlags, program: EngineContext): Promise<number> {
  // The compiler and pip inherit it.
  if (flags.background === true) setPriority(constants.priority.PRIORITY_LOW);
  const report = streamReport(process.stderr, () => performance.now());
  const done = await runInterruptible(async (signal) => {
    if (flags.ifPossible === true) {
      await ensureNativeEngine({ ...prepareOptions(program, signal), required: false });
      return true;
    }
    const { installEngine, InstallError } = await import('../worker-node/engine/install/install.ts');
    const variant = flags.gpu === true ? 'gpu' : 'cpu';
    try {
      await installEngine({
        variant,
        cacheDir: engineCacheDir(),
        programFile: program.programFile,
        signal,
        report,
      });
      return true;
    } catch (error) {
      if (flags.background !== true) throw error;
      // The last line is what the parent process reports.
      report.print(asSentence(error instanceof InstallError ? error.why : errorMessage(error)));
      return false;
    }
  }, flags.background === true);
  return done === null ? EXIT_INTERRUPTED : done ? 0 : 1;
}

/**
 * Installs native TensorFlow where there is none, and waits for it. Progress goes to stderr.
 * @param signal stops the installation
 * @throws Error with a sentence if this machine cannot have it
 */
export async function requireNativeEngine(program: EngineContext, signal: AbortSignal): Promise<void> {
  await ensureNativeEngine({ ...prepareOptions(program, signal), required: true });
}

/** `gradcast engine probe`: measures one engine in this process, for `engine` and `engine install`. */
export async function runBenchmark(flags: BenchmarkFlags): Promise<void> {
  const [{ benchmarkEngine }, { formatBenchmarkLine }] = await Promise.all([
    import('../worker-node/engine/benchmark/benchmark-engine.ts'),
    import('../worker-node/engine/benchmark/benchmark-child.ts'),
  ]);
  process.stdout.write(formatBenchmarkLine(await benchmarkEngine(flags, flags.batch)));
}

function prepareOptions({ programFile, commandLine }: EngineContext, signal: AbortSignal) {
  return {
    cacheDir: engineCacheDir(),
    programFile,
    commandLine,
    signal,
    report: streamReport(process.stderr, () => performance.now()),
    nowMs: Date.now(),
  };
}

async function printProfile({ json, engine, batch }: EngineFlags): Promise<void> {
  const [{ profileEngine }, { describeProfile }] = await Promise.all([
    import('../worker-node/engine/benchmark/profile.ts'),
    import('../worker-node/engine/benchmark/profile.ts'),
  ]);
  const profile = await profileEngine(engine, batch, PROFILED_STEPS);
  const text = json === true ? JSON.stringify(profile, null, 2) : describeProfile(profile).join('\n');
  process.stdout.write(`${text}\n`);
}

/**
 * Runs work that Ctrl-C, SIGTERM and the end of the terminal stop.
 * @param stdin whether the end of stdin stops it too: it closes when the parent process ends, however that ends
 * @returns null if it was stopped
 */
async function runInterruptible<Result>(
  work: (signal: AbortSignal) => Promise<Result>,
  stdin = false,
): Promise<Result | null> {
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', stop);
  if (stdin) process.stdin.resume().once('close', stop);
  try {
    const result = await work(abort.signal);
    if (!abort.signal.aborted) return result;
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', stop);
    if (stdin) process.stdin.off('close', stop).destroy();
  }
  return null;
}

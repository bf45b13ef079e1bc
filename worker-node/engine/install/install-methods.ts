import { errorMessage } from '../../../shared/util/error-message.ts';
import { compileAgainstWheel } from './compile-addon.ts';
import { bindingDir } from '../locate/cache.ts';
import { runNpm } from './npm.ts';
import { createPathLookup, detectPackageManager } from '../../util/package-manager.ts';
import { findTools, missingMessage } from './prerequisites.ts';
import { measureFolder, createStallDetector, withProgress, type InstallReport } from './progress.ts';
import { summarizeFailure } from '../../util/run-program.ts';
import type { Variant, InstallMethods } from '../locate/target.ts';

export interface InstallMethodOptions {
  readonly variant: Variant;
  /** Folder in which the engine is built, with the package's files in place. */
  readonly staging: string;
  readonly wheelsDir: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
  /** Time after which a download that receives nothing is aborted. */
  readonly stallTimeoutMs?: number;
}

/** Result of an install method. */
export interface InstallAttempt {
  readonly name: 'download' | 'wheel';
  /** Name of the method in messages. */
  readonly label: string;
  /** Reason why the method failed, or null. */
  readonly failure: string | null;
}

/** The package's own download prints nothing while its host does not answer, and never times out. */
const STALL_TIMEOUT_MS = 60_000;

/** Runs the package's own install script, which downloads libtensorflow and the addon. It may be slow, but not stall. */
export async function installFromNpm(
  options: InstallMethodOptions,
  methods: InstallMethods,
): Promise<InstallAttempt> {
  const { staging, signal, report, variant, stallTimeoutMs = STALL_TIMEOUT_MS } = options;
  const attempt = { name: 'download', label: "The package's own download" } as const;
  if (!methods.download) return { ...attempt, failure: 'there is none for this platform' };
  report.print(`${attempt.label} ...`);
  const stall = new AbortController();
  const isStalled = createStallDetector(stallTimeoutMs);
  try {
    const result = await withProgress(
      async (elapsedMs) => {
        const bytes = await measureFolder(bindingDir(staging, variant));
        if (isStalled(bytes, elapsedMs)) stall.abort();
        report.update(`${(bytes / 1e6).toFixed(0)} MB unpacked, ${(elapsedMs / 1000).toFixed(0)} s`);
      },
      () => runNpm(staging, ['run', 'download-addon'], { signal: AbortSignal.any([signal, stall.signal]) }),
    );
    return { ...attempt, failure: result.code === 0 ? null : summarizeFailure(result) };
  } catch (error) {
    signal.throwIfAborted();
    if (!stall.signal.aborted) throw error;
    return {
      ...attempt,
      failure: `nothing was received for ${Math.round(stallTimeoutMs / 1000)} s; aborted`,
    };
  }
}

/** Downloads TensorFlow's wheel with pip and compiles the addon against it. */
export async function buildFromWheel(
  options: InstallMethodOptions,
  methods: InstallMethods,
): Promise<InstallAttempt> {
  const attempt = { name: 'wheel', label: "TensorFlow's wheel from PyPI and a build" } as const;
  const { wheel } = methods;
  if (wheel === null) return { ...attempt, failure: 'there is none for this platform' };
  const { python, missing } = await findTools(process.env, options.signal);
  if (python === null || missing.length > 0) {
    return {
      ...attempt,
      failure: missingMessage(missing, detectPackageManager(process.platform, createPathLookup(process.env))),
    };
  }
  try {
    await compileAgainstWheel({ ...options, folder: options.staging, wheel, python });
    return { ...attempt, failure: null };
  } catch (error) {
    options.signal.throwIfAborted();
    return { ...attempt, failure: errorMessage(error) };
  }
}

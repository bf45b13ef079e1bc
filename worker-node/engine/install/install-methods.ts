import { errorMessage } from '../../../shared/util/error-message.ts';
import { compileAgainstWheel } from './compile-addon.ts';
import { bindingDir } from '../locate/cache.ts';
import { runNpm } from './npm.ts';
import { findTools, missingMessage, createPathLookup, detectPackageManager } from './prerequisites.ts';
import { measureFolder, createStallDetector, withProgress, type InstallReport } from './progress.ts';
import { summarizeFailure } from '../../util/run-program.ts';
import type { Variant, InstallMethods } from '../locate/target.ts';

export interface InstallMethodOptions {
  readonly variant: Variant;
  /** The engine's folder in the making, with the package's files in place. */
  readonly staging: string;
  readonly wheelsDir: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
  /** How long the package's own download may bring nothing. */
  readonly stallTimeoutMs?: number;
}

/** What came of a way. */
export interface InstallAttempt {
  readonly name: 'download' | 'wheel';
  /** The same for a person. */
  readonly label: string;
  /** Why it did not work, or null. */
  readonly failure: string | null;
}

/** The package's own download says nothing while its host does not answer, and waits for ever. */
const STALL_TIMEOUT_MS = 60_000;

/** The package's own install script: libtensorflow and the addon from their host. However slow, as long as it goes on. */
export async function installFromNpm(
  options: InstallMethodOptions,
  ways: InstallMethods,
): Promise<InstallAttempt> {
  const { staging, signal, report, variant, stallTimeoutMs = STALL_TIMEOUT_MS } = options;
  const outcome = { name: 'download', label: "The package's own download" } as const;
  if (!ways.download) return { ...outcome, failure: 'there is none for this platform' };
  report.print(`${outcome.label} ...`);
  const givenUp = new AbortController();
  const stalled = createStallDetector(stallTimeoutMs);
  try {
    const ran = await withProgress(
      async (elapsedMs) => {
        const bytes = await measureFolder(bindingDir(staging, variant));
        if (stalled(bytes, elapsedMs)) givenUp.abort();
        report.update(`${(bytes / 1e6).toFixed(0)} MB unpacked, ${(elapsedMs / 1000).toFixed(0)} s`);
      },
      () => runNpm(staging, ['run', 'download-addon'], { signal: AbortSignal.any([signal, givenUp.signal]) }),
    );
    return { ...outcome, failure: ran.code === 0 ? null : summarizeFailure(ran) };
  } catch (error) {
    signal.throwIfAborted();
    if (!givenUp.signal.aborted) throw error;
    return { ...outcome, failure: `nothing came for ${Math.round(stallTimeoutMs / 1000)} s; given up` };
  }
}

/** TensorFlow's wheel by pip, and the addon compiled against it. */
export async function buildFromWheel(
  options: InstallMethodOptions,
  ways: InstallMethods,
): Promise<InstallAttempt> {
  const outcome = { name: 'wheel', label: "TensorFlow's wheel from PyPI and a build" } as const;
  const { wheel } = ways;
  if (wheel === null) return { ...outcome, failure: 'there is none for this platform' };
  const { python, missing } = await findTools(process.env, options.signal);
  if (python === null || missing.length > 0) {
    return {
      ...outcome,
      failure: missingMessage(missing, detectPackageManager(process.platform, createPathLookup(process.env))),
    };
  }
  try {
    await compileAgainstWheel({ ...options, folder: options.staging, wheel, python });
    return { ...outcome, failure: null };
  } catch (error) {
    options.signal.throwIfAborted();
    return { ...outcome, failure: errorMessage(error) };
  }
}

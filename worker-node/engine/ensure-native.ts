import { errorMessage } from '../../shared/util/error-message.ts';
import { nativeCandidates } from './locate/candidates.ts';
import { engineCacheKey, recentFailure } from './install/failure.ts';
import { installEngine, InstallError } from './install/install.ts';
import { createPathLookup } from './install/prerequisites.ts';
import type { InstallReport } from './install/progress.ts';
import { hasGlibc, currentTarget, findInstallMethods, type Target } from './locate/target.ts';

export interface PrepareOptions {
  readonly cacheDir: string;
  /** What runs gradcast, for the child that proves the engine. */
  readonly programFile: string;
  /** How gradcast is started on a command line. */
  readonly commandLine: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
  readonly nowMs: number;
  /** Nothing else will do: what failed a while ago is tried again, and an error says why it cannot be had. */
  readonly required?: boolean;
  readonly target?: Target;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Sees to it that this machine has a native engine, if it can have one: installs one where there is none, on the first
 * run and again hours after it has failed. Where that is impossible one line says why, and work goes on without.
 * Settles early, without a word, when `signal` is aborted.
 * @throws Error with a sentence if it is required and cannot be had
 */
export async function ensureNativeEngine(options: PrepareOptions): Promise<void> {
  const { cacheDir, commandLine, signal, report, nowMs, required = false } = options;
  const { target = currentTarget(), env = process.env } = options;
  if (nativeCandidates(cacheDir, target, env).some(({ missing }) => missing === null)) return;
  const { unsupported } = findInstallMethods(target, 'cpu', target.platform !== 'linux' || hasGlibc());
  if (unsupported !== undefined) {
    if (required) throw new Error(`${unsupported} ${WASM_ADVICE}`);
    report.print(unsupported);
    return;
  }
  const goingOn = `Going on with WebAssembly; to try again: ${commandLine} engine install`;
  const failure = required ? null : await recentFailure(cacheDir, engineCacheKey(target, 'cpu'), nowMs);
  if (failure !== null) {
    report.print(
      `No native TensorFlow (tried ${formatAge(nowMs - failure.atMs)}): ${asSentence(failure.why)} ${goingOn}`,
    );
    return;
  }
  report.print('No native TensorFlow here yet; getting it, once: a few minutes, 3 GB of disk meanwhile.');
  report.print('To do without it: Ctrl-C, and --engine wasm.');
  try {
    await installEngine({ ...options, variant: 'cpu' });
    if (createPathLookup(env)('nvidia-smi')) {
      report.print(`For this machine's NVIDIA GPU: ${commandLine} engine install --gpu (10 GB)`);
    }
  } catch (error) {
    if (signal.aborted) return;
    const why = error instanceof InstallError ? error.why : errorMessage(error);
    const cannot = `No native TensorFlow: ${asSentence(why)}`;
    if (required) throw new Error(`${cannot} ${WASM_ADVICE}`, { cause: error });
    report.print(`${cannot} ${goingOn}`);
  }
}

const WASM_ADVICE = '--engine wasm does without it.';

export const installAdvice = (typed: string): string =>
  `No native TensorFlow here yet; this gets it: ${typed} engine install (with --gpu for an NVIDIA GPU)`;

/** The words of a program as one sentence on one line. */
export function asSentence(words: string): string {
  const line = words.trim().replaceAll(/\s*\n\s*/g, ' ');
  return /[.!?]$/.test(line) ? line : `${line}.`;
}

function formatAge(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  return minutes < 60 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

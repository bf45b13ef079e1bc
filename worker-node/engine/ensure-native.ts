import { errorMessage } from '../../shared/util/error-message.ts';
import { nativeCandidates } from './locate/candidates.ts';
import { engineCacheKey, recentFailure } from './install/failure.ts';
import { installEngine, InstallError } from './install/install.ts';
import { createPathLookup } from '../util/package-manager.ts';
import type { InstallReport } from './install/progress.ts';
import { hasGlibc, currentTarget, findInstallMethods, type Target } from './locate/target.ts';

export interface PrepareOptions {
  readonly cacheDir: string;
  /** Program of gradcast, which verifies the engine in a child process. */
  readonly programFile: string;
  /** Command that starts gradcast, for advice. */
  readonly commandLine: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
  readonly nowMs: number;
  /** Fails if there is no engine, and does not wait before a failed installation is tried again. */
  readonly required?: boolean;
  readonly target?: Target;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Installs a native engine if this machine has none and its platform can have one. A failed installation is tried again
 * hours later. If there is no engine, one line says why. Returns early, without a line, when `signal` is aborted.
 * @throws Error with a sentence if the engine is required and cannot be installed
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
  const fallback = `Using WebAssembly; to try again: ${commandLine} engine install`;
  const failure = required ? null : await recentFailure(cacheDir, engineCacheKey(target, 'cpu'), nowMs);
  if (failure !== null) {
    report.print(
      `No native TensorFlow (tried ${formatAge(nowMs - failure.atMs)}): ${asSentence(failure.why)} ${fallback}`,
    );
    return;
  }
  report.print('Installing native TensorFlow, once: a few minutes and 3 GB of disk.');
  report.print('To skip it: Ctrl-C, then --engine wasm.');
  try {
    await installEngine({ ...options, variant: 'cpu' });
    if (createPathLookup(env)('nvidia-smi')) {
      report.print(`For this machine's NVIDIA GPU: ${commandLine} engine install --gpu (10 GB)`);
    }
  } catch (error) {
    if (signal.aborted) return;
    const why = error instanceof InstallError ? error.why : errorMessage(error);
    const problem = `No native TensorFlow: ${asSentence(why)}`;
    if (required) throw new Error(`${problem} ${WASM_ADVICE}`, { cause: error });
    report.print(`${problem} ${fallback}`);
  }
}

const WASM_ADVICE = '--engine wasm works without it.';

export const installAdvice = (commandLine: string): string =>
  `Native TensorFlow is not installed. To install it: ${commandLine} engine install (with --gpu for an NVIDIA GPU)`;

/** Formats the output of a program as one sentence on one line. */
export function asSentence(text: string): string {
  const line = text.trim().replaceAll(/\s*\n\s*/g, ' ');
  return /[.!?]$/.test(line) ? line : `${line}.`;
}

function formatAge(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  return minutes < 60 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

import { join } from 'node:path';
import { errorMessage } from '../../../shared/util/error-message.ts';
import { engineCacheKey, clearFailure, recordFailure } from './failure.ts';
import { withLock } from './lock.ts';
import { findNodeHeaders, NPM_INSTALL, runNpm, npmErrorMessage, writeEnginePackage } from './npm.ts';
import { checkDiskSpace, diskFullMessage, isDiskFull, ensureWritable } from './prerequisites.ts';
import { formatTimeProgress, withProgress, type InstallReport } from './progress.ts';
import {
  describeBenchmark,
  type EngineBenchmark,
  benchmarkInChild,
  type VerifyResult,
} from '../benchmark/benchmark-child.ts';
import { createStaging, publishStaging, removeFolder, removeStaleStaging } from './staging.ts';
import {
  engineKey,
  hasGlibc,
  packageName,
  TFJS_VERSION,
  currentTarget,
  findInstallMethods,
  type Target,
  type Variant,
  type InstallMethods,
} from '../locate/target.ts';
import { installFromNpm, buildFromWheel } from './install-methods.ts';
import { nativeCandidates } from '../locate/candidates.ts';

export interface InstallOptions {
  readonly variant: Variant;
  /** Whether an engine for a GPU is accepted if it finds none, and its training step works on the processor. @default false */
  readonly acceptsNoGpu?: boolean;
  readonly cacheDir: string;
  /** Program of gradcast, which verifies the engine in a child process. */
  readonly programFile: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
}

/** Engine that was verified, and its folder. */
export interface InstalledEngine {
  readonly folder: string | null;
  readonly benchmark: EngineBenchmark;
}

/** No method installed a working engine. The message has the reason for each method. */
export class InstallError extends Error {
  override readonly name = 'InstallError';
  /** Reason in one sentence: that of the last method, the one that the user can fix. */
  readonly why: string;

  constructor(message: string, why: string) {
    super(message);
    this.why = why;
  }
}

const TYPICAL_NPM_MS = 20_000;

/**
 * Provides a native engine by the first method that works: an installed engine, the package's own download, TensorFlow's
 * wheel and a build. A method works only if a training step with its engine does.
 * @throws InstallError if all methods failed; another Error with a sentence if none could be tried
 */
export async function installEngine(options: InstallOptions): Promise<InstalledEngine> {
  const { variant, cacheDir, report, signal } = options;
  const target = currentTarget();
  const present = await verifyInstalled(options, target);
  if (present !== null) return present;
  const methods = findInstallMethods(target, variant, target.platform !== 'linux' || hasGlibc());
  if (methods.unsupported !== undefined) throw new Error(methods.unsupported);
  await ensureWritable(cacheDir);
  const onWaiting = (): void => report.print('Another installation is running; waiting for it to end ...');
  return withLock(cacheDir, { signal, onWaiting }, async (lockSignal) => {
    const locked = { ...options, signal: lockSignal };
    const installedMeanwhile = await verifyInstalled(locked, target);
    if (installedMeanwhile !== null) return installedMeanwhile;
    if ((await removeStaleStaging(cacheDir)) > 0)
      report.print('Removed the files of an interrupted installation.');
    const diskProblem = await checkDiskSpace(cacheDir, variant);
    if (diskProblem !== null) throw new Error(diskProblem);
    const key = engineCacheKey(target, variant);
    try {
      const installed = await buildEngine(locked, target, methods);
      await clearFailure(cacheDir, key);
      return installed;
    } catch (error) {
      // An installation that was aborted, or lost its lock to another process, has not failed.
      lockSignal.throwIfAborted();
      const failure = toInstallError(error, cacheDir);
      await recordFailure(cacheDir, { key, atMs: Date.now(), why: failure.why });
      throw failure;
    }
  });
}

async function buildEngine(
  options: InstallOptions,
  target: Target,
  methods: InstallMethods,
): Promise<InstalledEngine> {
  const { variant, cacheDir, signal, report } = options;
  const staging = await createStaging(cacheDir);
  const wheelsDir = join(cacheDir, '.wheels');
  try {
    const headers = findNodeHeaders(process.execPath, process.versions.node, process.env.npm_config_nodedir);
    await writeEnginePackage(staging, variant, headers);
    report.print(`Installing ${packageName(variant)} ${TFJS_VERSION} with npm ...`);
    const result = await withProgress(
      (elapsedMs) => report.update(formatTimeProgress(elapsedMs, TYPICAL_NPM_MS)),
      () => runNpm(staging, NPM_INSTALL, { signal }),
    );
    if (result.code !== 0) throw new Error(npmErrorMessage(packageName(variant), result));

    const failures: { readonly label: string; readonly reason: string }[] = [];
    for (const install of [installFromNpm, buildFromWheel]) {
      const { label, name, failure } = await install({ ...options, staging, wheelsDir }, methods);
      let reason = failure;
      if (reason === null) {
        const verified = await verifyStaged(options, staging);
        if (verified.ok) {
          return await publishEngine(options, target, staging, name, verified.benchmark, wheelsDir);
        }
        reason = verified.reason;
      }
      if (isDiskFull(reason)) throw new Error(diskFullMessage(cacheDir));
      failures.push({ label, reason });
      report.print(`  ${label}: ${reason}`);
    }
    throw new InstallError(
      `Native TensorFlow could not be installed.\n${failures.map(({ label, reason }) => `  ${label}: ${reason}`).join('\n')}\n` +
        'Training works with WebAssembly, which needs no installation.',
      failures.at(-1)?.reason ?? 'there is no install method',
    );
  } finally {
    await removeFolder(staging);
  }
}

async function publishEngine(
  { cacheDir, variant, report }: InstallOptions,
  target: Target,
  staging: string,
  method: 'download' | 'wheel',
  benchmark: EngineBenchmark,
  wheelsDir: string,
): Promise<InstalledEngine> {
  const tensorflow = benchmark.tensorflow ?? 'unknown';
  const folder = join(cacheDir, engineKey(target, variant, tensorflow));
  await publishStaging(staging, folder, {
    format: 1,
    ...target,
    tfjs: TFJS_VERSION,
    tensorflow,
    variant,
    way: method,
  });
  await removeFolder(wheelsDir);
  report.print(`Installed: ${folder}`);
  report.print(`Verified: ${describeBenchmark(benchmark)}`);
  return { folder, benchmark };
}

/** Converts any error of a build. */
function toInstallError(error: unknown, cacheDir: string): InstallError {
  if (error instanceof InstallError) return error;
  const message = errorMessage(error);
  const sentence = isDiskFull(message) ? diskFullMessage(cacheDir) : message;
  return new InstallError(sentence, sentence);
}

const VERIFY_BATCH_SIZE = 8;

/** @returns the first installed engine that computes a training step, or null; reports why others do not */
export async function verifyInstalled(
  options: InstallOptions,
  target: Target,
): Promise<InstalledEngine | null> {
  const { variant, cacheDir, report } = options;
  for (const { package: name, missing, folder } of nativeCandidates(cacheDir, target)) {
    if (name !== packageName(variant) || missing !== null) continue;
    const result = await verify(options, folder);
    const where = folder ?? 'the installed packages';
    if (result.ok) {
      report.print(`Already installed, and works: ${where}`);
      return { folder: folder ?? null, benchmark: result.benchmark };
    }
    report.print(`${where}: ${result.reason}`);
  }
  return null;
}

/** Verifies that an engine that was just built computes a training step. */
export function verifyStaged(options: InstallOptions, staging: string): Promise<VerifyResult> {
  options.report.print('Trying a training step ...');
  return verify(options, staging);
}

async function verify(
  { programFile, variant, acceptsNoGpu = false, signal }: InstallOptions,
  folder: string | undefined,
): Promise<VerifyResult> {
  const target = { engine: 'native', package: packageName(variant), folder } as const;
  const result = await benchmarkInChild([process.execPath, programFile], target, VERIFY_BATCH_SIZE, signal);
  if (result.ok && variant === 'gpu' && !result.benchmark.gpu && !acceptsNoGpu)
    return { ok: false, reason: 'it finds no GPU' };
  return result;
}

import { join } from 'node:path';
import { errorMessage } from '../../../shared/util/error-message.ts';
import { engineCacheKey, clearFailure, recordFailure } from './failure.ts';
import { withLock } from './lock.ts';
import { findNodeHeaders, runNpm, npmErrorMessage, writeEnginePackage } from './npm.ts';
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
  readonly cacheDir: string;
  /** What runs gradcast, for the child that proves the engine. */
  readonly programFile: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
}

/** A working engine, and where it is. */
export interface InstalledEngine {
  readonly folder: string | null;
  readonly benchmark: EngineBenchmark;
}

/** No way has led to a working engine. The message says for each way why. */
export class InstallError extends Error {
  override readonly name = 'NotInstalled';
  /** Why, in one sentence: of the last way, which is the one that the person can do something about. */
  readonly why: string;

  constructor(message: string, why: string) {
    super(message);
    this.why = why;
  }
}

const TYPICAL_NPM_MS = 20_000;
/** Offline, npm would try for minutes, package by package, while somebody waits who wants to train. */
const NPM_FETCH_OPTIONS = [
  '--prefer-offline',
  '--fetch-retries=2',
  '--fetch-retry-mintimeout=1000',
  '--fetch-retry-maxtimeout=3000',
];

/**
 * Gets a native engine by the first way that works: one that is there, the package's own download, TensorFlow's wheel and
 * a build. No way counts before a training step has been made with it.
 * @throws NotInstalled; or another Error with a sentence, where nothing had been tried yet
 */
export async function installEngine(options: InstallOptions): Promise<InstalledEngine> {
  const { variant, cacheDir, report, signal } = options;
  const target = currentTarget();
  const present = await verifyInstalled(options, target);
  if (present !== null) return present;
  const ways = findInstallMethods(target, variant, target.platform !== 'linux' || hasGlibc());
  if (ways.unsupported !== undefined) throw new Error(ways.unsupported);
  await ensureWritable(cacheDir);
  const onWaiting = (): void => report.print('Another installation is under way; waiting for it to end ...');
  return withLock(cacheDir, { signal, onWaiting }, async (held) => {
    const locked = { ...options, signal: held };
    const made = await verifyInstalled(locked, target);
    if (made !== null) return made;
    if ((await removeStaleStaging(cacheDir)) > 0)
      report.print('Removed what a broken-off installation had left.');
    const noRoom = await checkDiskSpace(cacheDir, variant);
    if (noRoom !== null) throw new Error(noRoom);
    const key = engineCacheKey(target, variant);
    try {
      const installed = await buildEngine(locked, target, ways);
      await clearFailure(cacheDir, key);
      return installed;
    } catch (error) {
      // Nor is it a failure to be remembered where somebody else has taken over.
      held.throwIfAborted();
      const failure = toInstallError(error, cacheDir);
      await recordFailure(cacheDir, { key, atMs: Date.now(), why: failure.why });
      throw failure;
    }
  });
}

async function buildEngine(
  options: InstallOptions,
  target: Target,
  ways: InstallMethods,
): Promise<InstalledEngine> {
  const { variant, cacheDir, signal, report } = options;
  const staging = await createStaging(cacheDir);
  const wheelsDir = join(cacheDir, '.wheels');
  try {
    const headers = findNodeHeaders(process.execPath, process.versions.node, process.env.npm_config_nodedir);
    await writeEnginePackage(staging, variant, headers);
    report.print(`Installing ${packageName(variant)} ${TFJS_VERSION} with npm ...`);
    const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const ran = await withProgress(
      (elapsedMs) => report.update(formatTimeProgress(elapsedMs, TYPICAL_NPM_MS)),
      () => runNpm(staging, [...args, ...NPM_FETCH_OPTIONS], { signal }),
    );
    if (ran.code !== 0) throw new Error(npmErrorMessage(packageName(variant), ran));

    const fails: { readonly says: string; readonly fail: string }[] = [];
    for (const way of [installFromNpm, buildFromWheel]) {
      const { label, name, failure: failed } = await way({ ...options, staging, wheelsDir }, ways);
      let fail = failed;
      if (fail === null) {
        const proved = await verifyStaged(options, staging);
        if (proved.ok) return await publishEngine(options, target, staging, name, proved.probe, wheelsDir);
        fail = proved.reason;
      }
      if (isDiskFull(fail)) throw new Error(diskFullMessage(cacheDir));
      fails.push({ says: label, fail });
      report.print(`  ${label}: ${fail}`);
    }
    throw new InstallError(
      `No native TensorFlow could be installed.\n${fails.map(({ says, fail }) => `  ${says}: ${fail}`).join('\n')}\n` +
        'Training works on WebAssembly meanwhile, which needs no installation.',
      fails.at(-1)?.fail ?? 'there is no way to it',
    );
  } finally {
    await removeFolder(staging);
  }
}

async function publishEngine(
  { cacheDir, variant, report }: InstallOptions,
  target: Target,
  staging: string,
  way: 'download' | 'wheel',
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
    way,
  });
  await removeFolder(wheelsDir);
  report.print(`Installed: ${folder}`);
  report.print(`It works: ${describeBenchmark(benchmark)}`);
  return { folder, benchmark };
}

/** Whatever went wrong while it was built, with a sentence. */
function toInstallError(error: unknown, cacheDir: string): InstallError {
  if (error instanceof InstallError) return error;
  const message = errorMessage(error);
  const sentence = isDiskFull(message) ? diskFullMessage(cacheDir) : message;
  return new InstallError(sentence, sentence);
}

const VERIFY_BATCH_SIZE = 8;

/** An engine that is there already and makes a training step, or null; those that do not are named with the reason. */
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
      report.print(`There already, and works: ${where}`);
      return { folder: folder ?? null, benchmark: result.probe };
    }
    report.print(`${where}: ${result.reason}`);
  }
  return null;
}

/** Whether an engine that has just been built makes a training step. */
export function verifyStaged(options: InstallOptions, staging: string): Promise<VerifyResult> {
  options.report.print('Trying a training step ...');
  return verify(options, staging);
}

async function verify(
  { programFile, variant, signal }: InstallOptions,
  folder: string | undefined,
): Promise<VerifyResult> {
  const target = { engine: 'native', package: packageName(variant), folder } as const;
  const result = await benchmarkInChild(programFile, target, VERIFY_BATCH_SIZE, signal);
  if (result.ok && variant === 'gpu' && !result.probe.gpu) return { ok: false, reason: 'it finds no GPU' };
  return result;
}

import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { benchmarkInChild, describeBenchmark, NO_STEP } from '../benchmark/benchmark-child.ts';
import { withLock } from './lock.ts';
import { NPM_INSTALL, npmErrorMessage, runNpm } from './npm.ts';
import { diskFullMessage, diskSpaceMessage, ensureWritable, isDiskFull } from './prerequisites.ts';
import { formatTimeProgress, withProgress, type InstallReport } from './progress.ts';
import { createStaging, removeFolder, removeStaleStaging } from './staging.ts';
import { NO_GPU } from '../webgpu/open-webgpu.ts';
import { driverAdvice, thisSystem, unsupportedWebGpu, type System } from '../webgpu/system.ts';
import { findWebGpuPackage, WEBGPU_PACKAGE, WEBGPU_VERSION, webGpuFolder } from '../webgpu/webgpu-package.ts';

export interface WebGpuInstallOptions {
  readonly cacheDir: string;
  /** Program of gradcast, which verifies the engine in a child process. */
  readonly programFile: string;
  readonly signal: AbortSignal;
  readonly report: InstallReport;
  /** @default this one */
  readonly system?: System;
}

/** Disk space of the package, with what npm needs while it unpacks. */
const REQUIRED_BYTES = 400 * 2 ** 20;
const TYPICAL_NPM_MS = 15_000;
/** Samples of the training step that verifies an engine: a software device needs seconds for each. */
const VERIFY_BATCH_SIZE = 2;

/**
 * Installs the package webgpu into the cache of engines and verifies that a training step works.
 * @throws Error with a sentence if it cannot be installed or finds no GPU
 */
export async function installWebGpu(options: WebGpuInstallOptions): Promise<void> {
  const { cacheDir, report, signal, system = thisSystem() } = options;
  const unsupported = unsupportedWebGpu(system);
  if (unsupported !== null) throw new Error(unsupported);
  if (findWebGpuPackage(cacheDir) !== null) {
    report.print('The package webgpu is installed already. Trying a training step ...');
    return verify(options, undefined);
  }
  await ensureWritable(cacheDir);
  const onWaiting = (): void => report.print('Another installation is running; waiting for it to end ...');
  await withLock(cacheDir, { signal, onWaiting }, async (lockSignal) => {
    await removeStaleStaging(cacheDir);
    const { bavail, bsize } = await statfs(cacheDir);
    const diskProblem = diskSpaceMessage(cacheDir, bavail * bsize, REQUIRED_BYTES);
    if (diskProblem !== null) throw new Error(diskProblem);
    const staging = await createStaging(cacheDir);
    try {
      await installPackage(staging, { ...options, signal: lockSignal });
      report.print('Trying a training step ...');
      await verify({ ...options, signal: lockSignal }, staging);
      const folder = webGpuFolder(cacheDir);
      await removeFolder(folder);
      await rename(staging, folder);
      report.print(`Installed: ${folder}`);
    } finally {
      await removeFolder(staging);
    }
  });
}

/**
 * Removes the package, of this and of other versions, from the cache of engines.
 * @returns the number of versions
 * @throws Error with a sentence if files remain
 */
export async function removeWebGpu(cacheDir: string): Promise<number> {
  const names = await readdir(cacheDir).catch(() => []);
  const folders = names.filter((name) => /^webgpu-\d/.test(name)).map((name) => join(cacheDir, name));
  for (const folder of folders) {
    await removeFolder(folder);
    if (existsSync(folder))
      throw new Error(`${folder} cannot be removed. Stop the workers of this machine, then try again.`);
  }
  return folders.length;
}

async function installPackage(
  staging: string,
  { cacheDir, report, signal }: WebGpuInstallOptions,
): Promise<void> {
  await mkdir(staging, { recursive: true });
  const manifest = {
    name: 'gradcast-engine',
    private: true,
    dependencies: { [WEBGPU_PACKAGE]: WEBGPU_VERSION },
  };
  await writeFile(join(staging, 'package.json'), JSON.stringify(manifest, null, 2));
  report.print(`Installing ${WEBGPU_PACKAGE} ${WEBGPU_VERSION} with npm (132 MB) ...`);
  const result = await withProgress(
    (elapsedMs) => report.update(formatTimeProgress(elapsedMs, TYPICAL_NPM_MS)),
    () => runNpm(staging, NPM_INSTALL, { signal }),
  );
  if (result.code === 0) return;
  const reason = npmErrorMessage(WEBGPU_PACKAGE, result);
  throw new Error(isDiskFull(reason) ? diskFullMessage(cacheDir) : reason);
}

async function verify(
  { programFile, signal, report, system = thisSystem() }: WebGpuInstallOptions,
  folder: string | undefined,
): Promise<void> {
  const result = await benchmarkInChild(
    [process.execPath, programFile],
    { engine: 'webgpu', folder },
    VERIFY_BATCH_SIZE,
    signal,
  );
  if (!result.ok) {
    throw new Error(`WebGPU does not work here: ${result.reason}. ${adviceOn(result.reason, system)}`);
  }
  report.print(`Verified: ${describeBenchmark(result.benchmark)}`);
  if (result.benchmark.gpu) return;
  report.print(
    `That is the processor in place of a GPU, which only --engine webgpu uses. ${driverAdvice(system)}`,
  );
}

/** Advice for a person whose training step failed. @param reason that of the failed step */
export function adviceOn(reason: string, system: System): string {
  if (reason === NO_GPU) return driverAdvice(system);
  if (reason === NO_STEP)
    return 'A GPU in software (SwiftShader, llvmpipe) takes that long while other programs compute, and is of use for tests only; a GPU whose driver hangs needs another driver. `vulkaninfo --summary` names the devices on Linux.';
  return 'docs/guide/gpus.md lists causes.';
}

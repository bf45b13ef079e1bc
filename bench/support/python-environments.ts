import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import envPaths from 'env-paths';
import { withLock } from '../../worker-node/engine/install/lock.ts';
import { missingMessage } from '../../worker-node/engine/install/prerequisites.ts';
import { withProgress, type InstallReport } from '../../worker-node/engine/install/progress.ts';
import { createPathLookup, detectPackageManager } from '../../worker-node/util/package-manager.ts';
import { summarizeFailure, runProgram } from '../../worker-node/util/run-program.ts';

/** A framework of a baseline, in a virtual environment of its own. */
export interface Framework {
  /** Folder of the environment. Its name contains all versions, so that another version gets another environment. */
  readonly folder: string;
  /** Lists of requirements that pip tries, in order, until one can be installed. */
  readonly tries: readonly (readonly string[])[];
}

const linuxOnIntel = process.platform === 'linux' && process.arch === 'x64';
export const KERAS: Framework = {
  folder: 'keras-3.15.1-tensorflow-2.21.0',
  tries: [['keras==3.15.1', `${linuxOnIntel ? 'tensorflow-cpu' : 'tensorflow'}==2.21.0`]],
};

/**
 * For Linux, PyPI has PyTorch only with some gigabytes of CUDA. The build for the CPU is tried first, since the user's pip
 * may be configured with an index that has it.
 */
export const TORCH: Framework = {
  folder: 'torch-2.13.0',
  tries: [...(linuxOnIntel ? [['torch==2.13.0+cpu', 'numpy']] : []), ['torch==2.13.0', 'numpy']],
};

/**
 * Path of the Python of a framework's environment, which is created on first use in this user's cache.
 * @param signal aborts the installation
 * @throws Error with the reason if the environment cannot be created
 */
export async function preparePython(
  { folder, tries }: Framework,
  report: InstallReport,
  signal: AbortSignal,
): Promise<string> {
  const base = join(envPaths('gradcast', { suffix: '' }).cache, 'bench');
  const home = join(base, folder);
  const python = join(
    home,
    ...(process.platform === 'win32' ? ['Scripts', 'python.exe'] : ['bin', 'python']),
  );
  const marker = join(home, 'gradcast-complete');
  const isComplete = (): Promise<boolean> => stat(marker).then(() => true, () => false); // prettier-ignore
  if (await isComplete()) return python;
  const onWaiting = (): void => report.print(`Another process is creating ${home}; waiting for it.`);
  return withLock(base, { signal, onWaiting }, async () => {
    if (await isComplete()) return python;
    await rm(home, { recursive: true, force: true });
    await mkdir(base, { recursive: true });
    report.print(`Creating ${home}`);
    const made = await runProgram([await systemPython(signal), '-m', 'venv', home], { signal });
    if (made.code !== 0) throw new Error(`Python could not create ${home}: ${summarizeFailure(made)}`);
    const fails: string[] = [];
    for (const requirements of tries) {
      report.print(`  pip install ${requirements.join(' ')}`);
      const options = ['--no-input', '--progress-bar', 'off', '--only-binary=:all:'];
      const ran = await withProgress(
        (elapsedMs) => report.update(`${(elapsedMs / 1000).toFixed(0)} s`),
        () =>
          runProgram([python, '-m', 'pip', 'install', ...options, ...requirements], {
            signal,
            onLine: (line) => {
              if (/^(Collecting|\s*Downloading|Installing)/.test(line))
                report.print(`  ${line.trim().slice(0, 120)}`);
            },
          }),
      );
      if (ran.code === 0) {
        await writeFile(marker, '');
        return python;
      }
      fails.push(summarizeFailure(ran));
    }
    throw new Error(`pip could not install ${folder}: ${fails.at(-1) ?? ''}`);
  });
}

/** Finds a Python 3 that can create virtual environments with pip. */
async function systemPython(signal: AbortSignal): Promise<string> {
  const { env, platform } = process;
  const supplier = detectPackageManager(platform, createPathLookup(env));
  const configured = env.PYTHON === undefined || env.PYTHON === '' ? [] : [env.PYTHON];
  for (const program of [...configured, 'python3', 'python']) {
    const version = await runProgram([program, '-c', 'import sys; sys.exit(sys.version_info[0] != 3)'], {
      signal,
    });
    if (version.code !== 0) continue;
    // Debian and Ubuntu package venv and pip separately from Python.
    if ((await runProgram([program, '-c', 'import venv, ensurepip'], { signal })).code === 0) return program;
    const hint = supplier === 'apt' ? ' Install it with: sudo apt-get install -y python3-venv' : '';
    throw new Error(`${program} has no venv, or no pip for it.${hint}`);
  }
  throw new Error(missingMessage(['python'], supplier));
}

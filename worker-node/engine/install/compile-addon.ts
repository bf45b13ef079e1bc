import { mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { bindingDir } from '../locate/cache.ts';
import { runNpm } from './npm.ts';
import { downloadWheel, type PipOptions } from './pip.ts';
import { formatByteProgress, formatTimeProgress, withProgress, type InstallReport } from './progress.ts';
import { summarizeFailure } from '../../util/run-program.ts';
import { WHEEL_TENSORFLOW_VERSION, type Variant } from '../locate/target.ts';
import { CorruptWheelError, unpackWheel } from './unpack-wheel.ts';
import { extraRequirements } from './wheel-contents.ts';

const TYPICAL_BUILD_MS = 60_000;
const APPROXIMATE_WHEEL_BYTES: Readonly<Record<Variant, number>> = { cpu: 274e6, gpu: 600e6 };
const APPROXIMATE_CUDA_WHEEL_BYTES = 300e6;

export interface CompileOptions extends PipOptions {
  /** The engine's folder, with the package's files in place. */
  readonly folder: string;
  readonly variant: Variant;
  /** Name of the wheel on PyPI. */
  readonly wheel: string;
}

/**
 * Unpacks TensorFlow's libraries and headers from a wheel and compiles the addon against them.
 * @throws Error with a sentence
 */
export async function compileAgainstWheel(options: CompileOptions): Promise<void> {
  const { folder, variant, signal, report, wheel } = options;
  const deps = join(bindingDir(folder, variant), 'deps');
  // The package's own download may have left files.
  await rm(deps, { recursive: true, force: true });
  const metadata = await downloadAndUnpack(
    `${wheel}==${WHEEL_TENSORFLOW_VERSION}`,
    APPROXIMATE_WHEEL_BYTES[variant],
    deps,
    options,
  );
  if (variant === 'gpu') {
    for (const requirement of extraRequirements(metadata, 'and-cuda')) {
      await downloadAndUnpack(requirement, APPROXIMATE_CUDA_WHEEL_BYTES, deps, options);
    }
  }
  await linkLibraries(deps);
  await mkdir(join(deps, 'include'), { recursive: true });

  report.print('Compiling the addon (node-pre-gyp) ...');
  const result = await withProgress(
    (elapsedMs) => report.update(formatTimeProgress(elapsedMs, TYPICAL_BUILD_MS)),
    () => runNpm(folder, ['run', 'build-addon'], { signal }),
  );
  if (result.code !== 0) throw new Error(`The addon could not be compiled: ${summarizeFailure(result)}`);
  await Promise.all([
    rm(join(deps, 'include'), { recursive: true, force: true }),
    rm(join(bindingDir(folder, variant), 'build'), { recursive: true, force: true }),
  ]);
}

/**
 * Links libraries to the names under which they are opened. The addon links with -ltensorflow and asks for the library's own
 * SONAME at run time; TensorFlow opens CUDA's libraries by name and looks in its own folder.
 */
async function linkLibraries(deps: string): Promise<void> {
  const lib = join(deps, 'lib');
  await symlink('libtensorflow_cc.so.2', join(lib, 'libtensorflow.so'));
  await symlink('libtensorflow_framework.so.2', join(lib, 'libtensorflow_framework.so'));
  const parts = await readdir(join(deps, 'nvidia')).catch(() => []);
  for (const part of parts) {
    const names = await readdir(join(deps, 'nvidia', part, 'lib')).catch(() => []);
    for (const name of names.filter((each) => /\.so(\.|$)/.test(each))) {
      await symlink(join('..', 'nvidia', part, 'lib', name), join(lib, name));
    }
  }
}

/** Downloads a wheel and unpacks it. A damaged wheel from an earlier installation is removed and downloaded once more. */
async function downloadAndUnpack(
  requirement: string,
  approximateBytes: number,
  deps: string,
  options: CompileOptions,
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const path = await downloadWheel(requirement, approximateBytes, options);
    try {
      return await unpack(path, deps, options.signal, options.report);
    } catch (error) {
      if (!(error instanceof CorruptWheelError)) throw error;
      await rm(path, { force: true });
      if (attempt > 1) throw error;
      options.report.print(`${error.message}; downloading it again.`);
    }
  }
}

function unpack(path: string, deps: string, signal: AbortSignal, report: InstallReport): Promise<string> {
  report.print('Unpacking its libraries ...');
  const startedMs = performance.now();
  return unpackWheel(path, deps, {
    signal,
    onProgress: (done, total) =>
      report.update(formatByteProgress(done, total, performance.now() - startedMs)),
  });
}

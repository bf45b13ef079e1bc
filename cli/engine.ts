import { Option, type Command } from 'commander';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { BenchmarkTarget } from '../worker-node/engine/benchmark/benchmark-child.ts';
import type { Diagnosis, Finding } from '../worker-node/engine/doctor.ts';
import type { streamReport } from '../worker-node/engine/install/progress.ts';
import { errorMessage } from '../shared/util/error-message.ts';
import { offerWebGpu, type CliContext } from './context.ts';
import { runInterruptible } from './interrupt.ts';
import { engineOption, integer } from './options.ts';
import { ExitCode } from '../shared/util/exit-codes.ts';

const PROFILED_STEPS = 20;

interface PaceFlags {
  readonly batch: number;
  readonly workers?: number;
  readonly threads: number;
}

interface EngineFlags {
  readonly json?: boolean;
  readonly profile?: boolean;
  readonly report?: boolean;
  readonly engine: EngineChoice;
  readonly batch: number;
}

interface InstallFlags {
  readonly gpu?: boolean;
  readonly withoutGpu?: boolean;
  readonly webgpu?: boolean;
  /** Do not retry soon after a failure, and exit with 0 after one. */
  readonly ifPossible?: boolean;
}

type BenchmarkFlags = BenchmarkTarget & { readonly batch: number };

/** The parts of the context that an installation needs. */
type InstallContext = Pick<CliContext, 'programFile' | 'commandLine'>;

/** `gradcast engine`, `engine install`, and the hidden commands that measure one engine in a process of its own. */
export function addEngine(cli: Command, context: CliContext): void {
  const engine = cli
    .command('engine')
    .enablePositionalOptions()
    .summary('show what this machine computes with')
    .description(
      'Show the engines of this machine, each measured: which one gradcast uses, and why not the others.',
    )
    .option('--json', 'print JSON')
    .addOption(
      new Option(
        '--report',
        'print a row of the table of GPUs in docs/guide/gpus.md, with details; nothing is sent anywhere',
      ).conflicts(['json', 'profile']),
    )
    .option('--profile', 'show the time of a gradient step op by op instead')
    .addOption(engineOption('engine to profile'))
    .option('--batch <n>', 'samples of a step to profile', integer(1, 65536), 128)
    .addHelpText(
      'after',
      `
Examples:
  gradcast engine
  gradcast engine --report > report.md
  gradcast engine --profile
  gradcast engine --profile --engine wasm --batch 64
  gradcast engine install
  gradcast engine install --webgpu

The exit code is 0 if an engine works here, else 1; with --report, if a GPU computes.
GRADCAST_GPU names the GPU that WebGPU uses, GRADCAST_GPU_POWER=low prefers the frugal one of two.`,
    )
    .action(async (flags: EngineFlags) => {
      await context.prepare();
      process.exitCode = await runEngine(flags, context);
    });

  engine
    .command('install')
    .summary('install native TensorFlow or WebGPU')
    .description(
      "Install native TensorFlow into this user's cache by the first method that works: an installed one, the package's " +
        'own download, or a TensorFlow wheel and a build of the addon. With --webgpu, install WebGPU (Dawn) from npm instead.',
    )
    .addOption(
      // GRADCAST_GPU names the GPU that WebGPU uses.
      new Option('--gpu', 'with CUDA, for NVIDIA GPUs on Linux: 10 GB of disk').env('GRADCAST_INSTALL_GPU'),
    )
    .addOption(
      new Option(
        '--without-gpu',
        'as --gpu, also where no GPU is, such as where an image is built; the processor verifies the engine',
      ).implies({ gpu: true }),
    )
    .addOption(
      new Option(
        '--webgpu',
        'install WebGPU instead, for GPUs of any vendor on Linux, macOS and Windows: 132 MB, nothing to compile',
      ).conflicts('gpu'),
    )
    .addOption(
      new Option('--if-possible', 'do not retry soon after a failure; a failure is no error')
        .conflicts('gpu')
        .hideHelp(),
    )
    .addHelpText(
      'after',
      `
Examples:
  gradcast engine install
  gradcast engine install --webgpu
  gradcast engine install --gpu

An engine is installed only if a training step with it works. The exit code is 0 then, else 1.`,
    )
    .action(async (flags: InstallFlags) => {
      await context.prepare();
      process.exitCode = await runInstall(flags, context);
    });

  engine
    .command('remove')
    .summary('remove WebGPU')
    .description(
      "Remove what `engine install --webgpu` has put into this user's cache. The exit code is 0 if nothing is left, also if nothing was there.",
    )
    .action(async () => {
      await context.prepare();
      const [{ removeWebGpu }, { engineCacheDir }] = await Promise.all([
        import('../worker-node/engine/install/install-webgpu.ts'),
        import('../worker-node/engine/locate/cache.ts'),
      ]);
      const count = await removeWebGpu(engineCacheDir());
      process.stderr.write(count > 0 ? 'Removed WebGPU.\n' : 'WebGPU is not installed in the cache.\n');
    });

  engine
    .command('probe', { hidden: true })
    .description('Measure one engine in this process and print the result.')
    .addOption(new Option('--engine <engine>').choices(['native', 'wasm', 'webgpu']).default('native'))
    .option('--package <name>', 'package of a native engine')
    .option('--folder <dir>', 'folder of a native engine')
    .option('--batch <n>', 'samples a step', integer(1, 65536), 64)
    .action(async (flags: BenchmarkFlags) => {
      await context.prepare();
      const [{ benchmarkEngine }, { formatBenchmarkLine }] = await Promise.all([
        import('../worker-node/engine/benchmark/benchmark-engine.ts'),
        import('../worker-node/engine/benchmark/benchmark-child.ts'),
      ]);
      process.stdout.write(formatBenchmarkLine(await benchmarkEngine(flags, flags.batch)));
    });

  engine
    .command('gpus', { hidden: true })
    .description('Print the GPUs that WebGPU lists.')
    .action(async () => {
      await context.prepare();
      const [{ readGpus }, { gpuOfEnv }, { formatGpusLine }] = await Promise.all([
        import('../worker-node/engine/webgpu/gpus.ts'),
        import('../worker-node/engine/webgpu/open-webgpu.ts'),
        import('../worker-node/engine/benchmark/gpus-in-child.ts'),
      ]);
      const { powerPreference } = gpuOfEnv(process.env);
      process.stdout.write(formatGpusLine(await readGpus({ powerPreference })));
    });

  engine
    .command('pace', { hidden: true })
    .description(
      'Measure gradient steps, side by side with other processes: of the native engine, or of WebAssembly workers.',
    )
    .option('--batch <n>', 'samples a step', integer(1, 65536), 128)
    .option('--workers <n>', 'WebAssembly workers of a run', integer(1, 1024))
    .option('--threads <n>', 'threads of each of them', integer(1, 1024), 1)
    .action(async ({ batch, workers, threads }: PaceFlags) => {
      await context.prepare();
      const { serveBenchmark, serveRunBenchmark } =
        await import('../worker-node/autotune/serve-benchmark.ts');
      const write = (line: string): void => void process.stdout.write(`${line}\n`);
      if (workers === undefined) return serveBenchmark(batch, process.stdin, write);
      const { openBenchmarkRun } = await import('../coordinator/commands/open-benchmark-run.ts');
      const { command } = context;
      await serveRunBenchmark(
        await openBenchmarkRun({ workers, threads, batch, command }),
        process.stdin,
        write,
      );
      process.exit(0);
    });
}

/** @returns the exit code: 1 if this machine has no engine */
async function runEngine(
  { profile, json, report, engine, batch }: EngineFlags,
  { programFile, commandLine, version }: CliContext,
): Promise<number> {
  const write = (text: string): void => void process.stdout.write(`${text}\n`);
  if (profile === true) {
    const { profileEngine, describeProfile } = await import('../worker-node/engine/benchmark/profile.ts');
    const profiled = await profileEngine(engine, batch, PROFILED_STEPS);
    write(json === true ? JSON.stringify(profiled, null, 2) : describeProfile(profiled).join('\n'));
    return 0;
  }
  const doctor = await import('../worker-node/engine/doctor.ts');
  const diagnosis = await runInterruptible(async (signal) => {
    const found = await doctor.diagnose(programFile, signal);
    await saveComparison(doctor.contenders(found), found, {
      command: [process.execPath, programFile],
      signal,
    });
    return found;
  });
  if (diagnosis === null) return ExitCode.interrupted;
  if (report === true) {
    const { formatReport } = await import('../worker-node/engine/report.ts');
    const { text, hasGpu } = formatReport(diagnosis, version);
    write(text);
    if (!hasGpu)
      process.stderr.write('No engine computes on a GPU here, so the row is of no use to others.\n');
    return hasGpu ? 0 : 1;
  }
  const used = doctor.selectedEngine(diagnosis);
  if (json === true) {
    const { engine: name, folder } = used ?? { engine: null, folder: null };
    const why = used === undefined ? null : doctor.explainSelection(diagnosis);
    write(
      JSON.stringify({ ...diagnosis, used: name === null ? null : { engine: name, folder, why } }, null, 2),
    );
  } else {
    write(doctor.describeDiagnosis(diagnosis, commandLine).join('\n'));
    await offerWebGpu({ engine: 'auto' }, commandLine, write);
  }
  return used === undefined ? 1 : 0;
}

/** Saves the comparison of WebGPU with the other engines, which `--engine auto` uses. */
async function saveComparison(
  { gpu, other }: Readonly<Record<'gpu' | 'other', Finding | undefined>>,
  { findings }: Diagnosis,
  how: { readonly command: readonly [string, ...string[]]; readonly signal: AbortSignal },
): Promise<void> {
  if (other?.benchmark === undefined || other.benchmark === null) return;
  const { saveMeasurement } = await import('../worker-node/autotune/choose-webgpu.ts');
  const reason = findings.find(({ engine }) => engine === 'webgpu')?.reason;
  await saveMeasurement(gpu?.benchmark ?? reason ?? 'it was not measured', other.benchmark, how);
}

/** @returns the exit code */
async function runInstall(flags: InstallFlags, context: CliContext): Promise<number> {
  const install = (signal: AbortSignal): Promise<void> =>
    flags.webgpu === true
      ? installWebGpuEngine(flags, context, signal)
      : flags.ifPossible === true
        ? ensureNativeEngine(context, signal, false)
        : installNativeEngine(flags, context, signal);
  const result = await runInterruptible((signal) => install(signal).then(() => true));
  return result === null ? ExitCode.interrupted : ExitCode.done;
}

async function installWebGpuEngine(
  { ifPossible }: InstallFlags,
  context: InstallContext,
  signal: AbortSignal,
): Promise<void> {
  const { installWebGpu } = await import('../worker-node/engine/install/install-webgpu.ts');
  const options = await installOptions(context, signal);
  try {
    await installWebGpu(options);
  } catch (error) {
    if (ifPossible !== true || signal.aborted) throw error;
    options.report.print(errorMessage(error));
  }
}

async function installNativeEngine(
  flags: InstallFlags,
  { programFile, commandLine }: InstallContext,
  signal: AbortSignal,
): Promise<void> {
  const { installEngine } = await import('../worker-node/engine/install/install.ts');
  await installEngine({
    ...(await installOptions({ programFile, commandLine }, signal)),
    variant: flags.gpu === true ? 'gpu' : 'cpu',
    acceptsNoGpu: flags.withoutGpu === true,
  });
}

/** Stream of an installation's progress. */
type ProgressStream = Parameters<typeof streamReport>[0];

/** Stream for the progress of an installation whose lines go to a log. */
export const asStream = (info: (line: string) => void): ProgressStream => ({
  write: (text) => info(text.trim()),
});

/**
 * Installs native TensorFlow if this machine lacks it, and waits for that.
 * @param signal stops the installation
 * @param stream receives its progress
 * @throws Error with a sentence if this machine cannot have it
 */
export async function requireNativeEngine(
  context: InstallContext,
  signal: AbortSignal,
  stream: ProgressStream = process.stderr,
): Promise<void> {
  await ensureNativeEngine(context, signal, true, stream);
}

async function ensureNativeEngine(
  context: InstallContext,
  signal: AbortSignal,
  required: boolean,
  stream?: ProgressStream,
): Promise<void> {
  const { ensureNativeEngine: ensure } = await import('../worker-node/engine/ensure-native.ts');
  await ensure({ ...(await installOptions(context, signal, stream)), required });
}

async function installOptions(
  { programFile, commandLine }: InstallContext,
  signal: AbortSignal,
  stream: ProgressStream = process.stderr,
) {
  const [{ engineCacheDir }, { streamReport }] = await Promise.all([
    import('../worker-node/engine/locate/cache.ts'),
    import('../worker-node/engine/install/progress.ts'),
  ]);
  const report = streamReport(stream, () => performance.now());
  return { cacheDir: engineCacheDir(), programFile, commandLine, signal, report, nowMs: Date.now() };
}

import { Option, type Command } from 'commander';
import { integer } from '../../shared/options.ts';
import { ENGINE_CHOICES, type EngineChoice } from './choose.ts';
import { engineCacheDir } from './install/cache.ts';
import type { ProbeTarget } from './install/prove.ts';

const INTERRUPTED = 130;

interface EngineFlags {
  readonly json?: boolean;
  readonly profile?: boolean;
  readonly engine: EngineChoice;
  readonly batch: number;
}

const PROFILED_STEPS = 20;

/**
 * Adds `engine`, `engine install` and what they start.
 * @param prepare installs the engine as a first run does
 */
export function addEngineCommands(
  cli: Command,
  programFile: string,
  typed: string,
  prepare: (signal: AbortSignal) => Promise<void>,
): void {
  const engine = cli
    .command('engine')
    // What stands behind a command of its own belongs to that one.
    .enablePositionalOptions()
    .summary('what computes on this machine')
    .description(
      'What engines this machine has, which would be used and why not a better one, each measured.',
    )
    .option('--json', 'as JSON')
    .option('--profile', 'instead: where the time of a gradient step goes, op by op')
    .addOption(
      new Option('--engine <engine>', 'which one to profile').choices(ENGINE_CHOICES).default('auto'),
    )
    .option('--batch <n>', 'samples of a step to profile', integer(1, 65536), 128)
    .addHelpText(
      'after',
      `
Examples:
  gradcast engine
  gradcast engine --profile
  gradcast engine --profile --engine wasm --batch 64
  gradcast engine install
  gradcast engine install --gpu`,
    )
    .action(async (flags: EngineFlags) => {
      if (flags.profile === true) {
        await printProfile(flags);
        return;
      }
      const { describeDiagnosis, diagnose, usedEngine } = await import('./doctor.ts');
      const diagnosis = await interruptible((signal) => diagnose(programFile, signal));
      if (diagnosis === null) return;
      const text =
        flags.json === true
          ? JSON.stringify(diagnosis, null, 2)
          : describeDiagnosis(diagnosis, typed).join('\n');
      process.stdout.write(`${text}\n`);
      if (usedEngine(diagnosis) === undefined) process.exitCode = 1;
    });

  engine
    .command('install')
    .summary('get native TensorFlow')
    .description(
      "Get native TensorFlow for this machine by the first way that works: one that is here, the package's own download, " +
        'or a TensorFlow wheel and a build of the addon. It lands in the cache of this user.',
    )
    .option('--gpu', 'with CUDA, for NVIDIA GPUs')
    .addOption(
      new Option(
        '--if-possible',
        'as a first run does: not again soon after a failure, and failing is no error',
      )
        .conflicts('gpu')
        .hideHelp(),
    )
    .action(async (flags: { readonly gpu?: boolean; readonly ifPossible?: boolean }) => {
      if (flags.ifPossible === true) {
        await interruptible(prepare);
        return;
      }
      const { installEngine } = await import('./install/install.ts');
      const { streamReport } = await import('./install/progress.ts');
      const variant = flags.gpu === true ? 'gpu' : 'cpu';
      const report = streamReport(process.stderr, () => performance.now());
      await interruptible((signal) =>
        installEngine({ variant, cacheDir: engineCacheDir(), programFile, signal, report }),
      );
    });

  engine
    .command('probe', { hidden: true })
    .description('Try one engine in this process and print what it says.')
    .addOption(new Option('--engine <engine>').choices(['native', 'wasm']).default('native'))
    .option('--package <name>', 'of a native one')
    .option('--folder <dir>', "an engine's folder")
    .option('--batch <n>', 'samples a step', integer(1, 65536), 64)
    .action(async (flags: ProbeTarget & { readonly batch: number }) => {
      const [{ probeEngine }, { probeLine }] = await Promise.all([
        import('./probe.ts'),
        import('./install/prove.ts'),
      ]);
      process.stdout.write(probeLine(await probeEngine(flags, flags.batch)));
    });

  engine
    .command('pace', { hidden: true })
    .description('Measure gradient steps of the native engine, side by side with others.')
    .option('--batch <n>', 'samples a step', integer(1, 65536), 128)
    .action(async ({ batch }: { readonly batch: number }) => {
      const { keepPace } = await import('../shape/pace.ts');
      await keepPace(batch, process.stdin, (line) => process.stdout.write(`${line}\n`));
    });
}

async function printProfile({ json, engine, batch }: EngineFlags): Promise<void> {
  const [{ profileEngine }, { describeProfile }] = await Promise.all([
    import('./profile/profile.ts'),
    import('./profile/describe-profile.ts'),
  ]);
  const profile = await profileEngine(engine, batch, PROFILED_STEPS);
  const text = json === true ? JSON.stringify(profile, null, 2) : describeProfile(profile).join('\n');
  process.stdout.write(`${text}\n`);
}

/** Work that Ctrl-C, SIGTERM and the end of the terminal break off, with the exit code that says so. @returns null then */
async function interruptible<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result | null> {
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', stop);
  try {
    const result = await work(abort.signal);
    if (!abort.signal.aborted) return result;
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', stop);
  }
  process.exitCode = INTERRUPTED;
  return null;
}

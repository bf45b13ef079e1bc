import { Socket } from 'node:net';
import { availableParallelism, hostname } from 'node:os';
import { relative, sep } from 'node:path';
import { Option, type Command } from 'commander';
import { countOrAuto } from '../shared/options.ts';
import { ENGINE_CHOICES, type EngineChoice } from './engine/choose.ts';
import { addEngineCommands } from './engine/engine-command.ts';
import { threadsPerWorker } from './engine/load-native.ts';

const INTERRUPTED = 130;

interface WorkerFlags {
  readonly token?: string;
  readonly name: string;
  readonly workers: number | 'auto';
  readonly engine: EngineChoice;
  readonly quiet?: boolean;
}

/**
 * Adds what a Node worker can do to the command line.
 * @param programFile what runs gradcast, for the processes that it starts
 */
export function addWorkerCommands(cli: Command, programFile: string): void {
  cli
    .command('worker')
    .summary('attach this machine to a run')
    .description('Attach this machine to a run. Keeps trying while the coordinator is away; Ctrl-C leaves.')
    .argument('<url>', 'address that the coordinator printed, ws://host:port')
    .addOption(new Option('--token <token>', 'what the coordinator was started with').env('GRADCAST_TOKEN'))
    .option('--name <name>', 'what this machine is called in the run', hostname())
    .option('--workers <n>', 'worker processes: auto is one a core', countOrAuto, 'auto')
    .addOption(new Option('--engine <engine>', 'what computes').choices(ENGINE_CHOICES).default('auto'))
    .option('--quiet', 'say only what goes wrong')
    .addHelpText(
      'after',
      `
Examples:
  gradcast worker ws://192.168.1.20:2718
  gradcast worker ws://192.168.1.20:2718 --token s3cret --name lab-7 --workers 4`,
    )
    .action(async (url: string, flags: WorkerFlags) => {
      process.exitCode = await runCommand(url, flags, programFile);
    });

  addEngineCommands(cli, programFile, typedAs(programFile), (signal) =>
    prepareEngine('auto', signal, programFile),
  );

  cli
    .command('predict')
    .summary('what a trained model sees in pictures')
    .description(
      "What a trained model sees in pictures. Other sizes than the model's are cut, scaled and centred.",
    )
    .argument('<model-dir>', 'folder model/ of a run')
    .argument('<image...>', 'PNG files')
    .addOption(new Option('--engine <engine>', 'what computes').choices(ENGINE_CHOICES).default('auto'))
    .addHelpText('after', '\nExample:\n  gradcast predict runs/2026-01-31-k3v9qd/model seven.png four.png')
    .action(async (modelDir: string, files: string[], flags: { readonly engine: EngineChoice }) => {
      const { predict } = await import('./predict/predict.ts');
      await predict(modelDir, files, flags.engine, (line) => process.stdout.write(`${line}\n`));
    });
}

async function runCommand(url: string, flags: WorkerFlags, programFile: string): Promise<number> {
  if (!URL.canParse(url) || !/^wss?:$/.test(new URL(url).protocol)) {
    throw new Error(`'${url}' is no address of a coordinator. It looks like ws://192.168.1.20:2718.`);
  }
  const leaving = leaveWhenAsked();
  const note = (line: string): void => void process.stderr.write(`${line}\n`);
  // Whoever holds the leash of this worker has seen to the engine.
  if (process.env.GRADCAST_LEASH === undefined) {
    await prepareEngine(flags.engine, leaving, programFile);
    if (leaving.aborted) return INTERRUPTED;
  }
  const count = flags.workers === 'auto' ? availableParallelism() : flags.workers;
  if (count > 1) {
    const { runProcesses } = await import('./processes.ts');
    const quiet = flags.quiet === true ? ['--quiet'] : [];
    return runProcesses({
      count,
      command: [
        process.execPath,
        programFile,
        'worker',
        url,
        '--workers',
        '1',
        '--engine',
        flags.engine,
        ...quiet,
      ],
      name: flags.name,
      env: {
        TF_NUM_INTRAOP_THREADS: String(threadsPerWorker(availableParallelism(), count)),
        ...process.env,
        ...(flags.token === undefined ? {} : { GRADCAST_TOKEN: flags.token }),
      },
      signal: leaving,
      note,
    });
  }
  const { work } = await import('./work.ts');
  const info = flags.quiet === true ? (): void => undefined : note;
  const reason = await work({
    url,
    token: flags.token,
    name: flags.name,
    engine: flags.engine,
    signal: leaving,
    info,
    note,
  });
  info(`${flags.name}: ${reason}`);
  return 0;
}

/**
 * Gets the engine that local workers will compute with, if it is missing and can be had. Says on stderr how far it is.
 * @param engine as --engine names it
 * @param signal breaks it off, leaving nothing half
 */
export async function prepareEngine(engine: string, signal: AbortSignal, programFile: string): Promise<void> {
  if (engine !== 'auto') return;
  const [{ prepareNative }, { streamReport }, { engineCacheDir }] = await Promise.all([
    import('./engine/prepare.ts'),
    import('./engine/install/progress.ts'),
    import('./engine/install/cache.ts'),
  ]);
  const report = streamReport(process.stderr, () => performance.now());
  const typed = typedAs(programFile);
  await prepareNative({ cacheDir: engineCacheDir(), programFile, typed, signal, report, nowMs: Date.now() });
}

/** How a person starts gradcast. */
function typedAs(programFile: string): string {
  return programFile.includes(`${sep}node_modules${sep}`)
    ? 'gradcast'
    : `node ${relative(process.cwd(), programFile)}`;
}

/** Aborted by Ctrl-C, by SIGTERM, and when whoever holds the leash is gone. A second Ctrl-C ends at once. */
function leaveWhenAsked(): AbortSignal {
  const leaving = new AbortController();
  if (process.env.GRADCAST_LEASH === 'stdin') {
    // A Ctrl-C reaches the whole terminal; whoever holds the leash needs this worker to finish the step.
    process.on('SIGINT', () => undefined);
    process.stdin.resume().once('close', () => leaving.abort());
    // The leash alone must not keep a worker alive that has nothing left to do.
    if (process.stdin instanceof Socket) process.stdin.unref();
  } else {
    process.on('SIGINT', () => {
      if (leaving.signal.aborted) process.exit(130);
      leaving.abort();
    });
  }
  process.on('SIGTERM', () => leaving.abort());
  return leaving.signal;
}

import { hostname } from 'node:os';
import { relative, sep } from 'node:path';
import { Option, type Command } from 'commander';
import { countOrAuto, integer, knownTokenOption, logOption } from '../shared/options.ts';
import type { Connect } from '../shared/transport.ts';
import { parseDevices } from './devices.ts';
import { parseFingerprint as fingerprint } from '../shared/fingerprint.ts';
import { ENGINE_CHOICES, type EngineChoice } from './engine/choose.ts';
import { addEngineCommands } from './engine/engine-command.ts';
import type { ShapeOptions } from './shape/workers-here.ts';
import type { WorkerFlags } from './worker-command.ts';

/**
 * Adds what a Node worker can do to the command line.
 * @param programFile what runs gradcast, for the processes that it starts
 * @param threadFile the program of the engine's thread
 */
export function addWorkerCommands(cli: Command, programFile: string, threadFile: string): void {
  cli
    .command('worker')
    .summary('attach this machine to a run')
    .description('Attach this machine to a run. Keeps trying while the coordinator is away; Ctrl-C leaves.')
    .argument('<url>', 'address that the coordinator printed, ws://host:port or wss://')
    .addOption(knownTokenOption())
    .option('--fingerprint <hex>', 'of a self-signed certificate: the one to trust (wss://)', fingerprint)
    .option('--name <name>', 'what this machine is called in the run', hostname())
    .option('--workers <n>', 'worker processes: auto is what is fastest here', countOrAuto, 'auto')
    .option('--threads <n>', 'threads of each with native TensorFlow (default: its share)', integer(1, 1024))
    .option('--devices <list>', 'GPUs, one worker each: all, or numbers such as 0,1', parseDevices)
    .addOption(new Option('--engine <engine>', 'what computes').choices(ENGINE_CHOICES).default('auto'))
    .option('--quiet', 'say only what goes wrong')
    .addOption(logOption())
    .addHelpText(
      'after',
      `
Examples:
  gradcast worker ws://192.168.1.20:2718
  gradcast worker ws://192.168.1.20:2718 --token s3cret --name lab-7 --workers 4
  gradcast worker ws://192.168.1.20:2718 --devices all       one worker for each GPU`,
    )
    .action(async (url: string, flags: WorkerFlags) => {
      const { runWorkerCommand } = await import('./worker-command.ts');
      process.exitCode = await runWorkerCommand(url, flags, {
        file: programFile,
        typed: typedAs(programFile),
        threadFile,
        prepareEngine: (signal) => prepareEngine(flags.engine, signal, programFile),
      });
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
    .argument('<model-dir>', 'folder of a run, or model/ in it')
    .argument('<image...>', 'PNG files')
    .addOption(new Option('--engine <engine>', 'what computes').choices(ENGINE_CHOICES).default('auto'))
    .addHelpText('after', '\nExample:\n  gradcast predict runs/2026-01-31-k3v9qd seven.png four.png')
    .action(async (modelDir: string, files: string[], flags: { readonly engine: EngineChoice }) => {
      const { predict } = await import('./predict/predict.ts');
      await predict(modelDir, files, flags.engine, (line) => process.stdout.write(`${line}\n`));
    });
}

/** How many local workers a run is best started with; see workersHere. */
export async function localWorkers(
  choice: EngineChoice,
  programFile: string,
  { note, signal, threads }: Required<Pick<ShapeOptions, 'note' | 'signal'>> & Pick<ShapeOptions, 'threads'>,
): Promise<number> {
  const { shapeOfThisMachine, workersHere } = await import('./shape/workers-here.ts');
  const machine = shapeOfThisMachine([process.execPath, programFile]);
  return workersHere({ ...machine, threads: threads ?? machine.threads, choice, note, signal });
}

/**
 * Gets the engine that local workers will compute with, if it is missing and can be had. Says on stderr how far it is.
 * @param engine as --engine names it
 * @param signal breaks it off, leaving nothing half
 * @throws Error with a sentence if native TensorFlow was asked for by name and cannot be had
 */
export async function prepareEngine(engine: string, signal: AbortSignal, programFile: string): Promise<void> {
  if (engine === 'wasm') return;
  const [{ prepareNative }, { streamReport }, { engineCacheDir }] = await Promise.all([
    import('./engine/prepare.ts'),
    import('./engine/install/progress.ts'),
    import('./engine/install/cache.ts'),
  ]);
  const report = streamReport(process.stderr, () => performance.now());
  const typed = typedAs(programFile);
  const required = engine === 'native';
  await prepareNative({
    ...{ cacheDir: engineCacheDir(), programFile, typed, required },
    ...{ signal, report, nowMs: Date.now() },
  });
}

/** How a person starts gradcast. */
function typedAs(programFile: string): string {
  return programFile.includes(`${sep}node_modules${sep}`)
    ? 'gradcast'
    : `node ${relative(process.cwd(), programFile)}`;
}

/** How a worker connects to a coordinator; with a fingerprint, only to whoever has that certificate. */
export async function connectorFor(fingerprint: string | undefined): Promise<Connect> {
  const { connectPinned } = await import('./connect.ts');
  return connectPinned(fingerprint);
}

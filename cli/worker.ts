import { hostname } from 'node:os';
import type { Command } from 'commander';
import type { LogFormat } from '../coordinator/report/log.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import { systemClock } from '../shared/util/clock.ts';
import type { Devices } from '../worker-node/engine/native/nvidia-gpus.ts';
import type { WriteLine } from '../worker-node/processes/machine-report.ts';
import { startThreadAhead } from '../worker-node/thread/start-thread.ts';
import { offerWebGpu, type CliContext } from './context.ts';
import {
  LINKS_HELP,
  placeOfCoordinator,
  urlFileOption,
  withToken,
  type CoordinatorPlace,
} from './coordinator-place.ts';
import { asStream, requireNativeEngine } from './engine.ts';
import { listenForInterrupts, type Interrupt } from './interrupt.ts';
import {
  clientTokenOption,
  countOrAuto,
  devices,
  engineOption,
  fingerprintOption,
  integer,
  logOption,
  threadsOption,
  trustOption,
} from './options.ts';
import { ExitCode } from '../shared/util/exit-codes.ts';

interface WorkerFlags {
  readonly token?: string;
  readonly fingerprint?: readonly string[];
  /** Hashes of custom code that may be run. */
  readonly trust?: readonly string[];
  readonly name: string;
  readonly workers: number | 'auto';
  readonly threads?: number;
  readonly devices?: Devices;
  readonly engine: EngineChoice;
  /** In MiB. */
  readonly sampleCache?: number;
  readonly quiet?: boolean;
  readonly log: LogFormat;
}

/** `gradcast worker`: this machine computes for a run. */
export function addWorker(cli: Command, context: CliContext): void {
  cli
    .command('worker')
    .summary('attach this machine to a run')
    .description(
      'Attach this machine to a run. Reconnects while the coordinator cannot be reached; Ctrl-C leaves.',
    )
    .argument('[links...]', LINKS_HELP)
    .addOption(
      urlFileOption('file with the address of the coordinator, which `coordinator --url-file` writes'),
    )
    .addOption(clientTokenOption())
    .addOption(fingerprintOption())
    .addOption(trustOption('the run'))
    .option('--name <name>', 'name of this machine in the run', hostname())
    .option('--workers <n>', 'worker processes: auto is the fastest number here', countOrAuto, 'auto')
    .addOption(threadsOption())
    .option(
      '--devices <list>',
      'GPUs, one worker each: all, or numbers such as 0,1 (of nvidia-smi for --engine native, of `gradcast engine` for webgpu)',
      devices,
    )
    .addOption(engineOption('engine that computes'))
    .option(
      '--sample-cache <mib>',
      'memory of each worker for samples, which then travel once (default: 512; 0 for a coordinator on this machine)',
      integer(0, 1_048_576),
    )
    .option('--quiet', 'print problems only')
    .addOption(logOption())
    .addHelpText(
      'after',
      `
Examples:
  gradcast worker http://192.168.1.20:2718/#s3cret
  gradcast worker 192.168.1.20:2718 --token s3cret --name lab-7 --workers 4
  gradcast worker 192.168.1.20:2718 --workers 1 --threads 8 --engine wasm     one place in the run, all cores
  gradcast worker --url-file /shared/run/url            waits until the coordinator has written it
  gradcast worker relay:2718 192.168.1.20:2718          a relay, and the coordinator if the relay is lost
  GRADCAST_URL=coordinator:2718 gradcast worker         every option is a variable, too
  gradcast worker 192.168.1.20:2718 --devices all       one worker for each GPU
  gradcast worker 192.168.1.20:2718 --engine webgpu     the GPU, of any vendor, after engine install --webgpu

GRADCAST_GPU names the GPU that WebGPU uses, GRADCAST_GPU_POWER=low prefers the frugal one of two.`,
    )
    .action(async (links: string[], flags: WorkerFlags, command: Command) => {
      const place = placeOfCoordinator(command, links);
      await context.prepare();
      process.exitCode = await runWorkerCommand(place, flags, context);
    });
}

/**
 * @param place of the coordinator; the token of its link replaces the option's
 * @returns the exit code
 */
async function runWorkerCommand(
  place: CoordinatorPlace,
  flags: WorkerFlags,
  context: CliContext,
): Promise<number> {
  const isSibling = process.env.GRADCAST_SIBLING !== undefined;
  // One worker computes in this process. Its thread starts while the rest is imported.
  const isAlone = flags.workers === 1 && flags.devices === undefined;
  const program =
    isAlone && (isSibling || (flags.threads ?? 1) === 1)
      ? { ...context, startThread: startThreadAhead(context.threadFile) }
      : context;
  const [{ runWorkers }, { waitForUrlFile }] = await Promise.all([
    import('../worker-node/run-workers.ts'),
    import('../worker-node/url-file.ts'),
  ]);
  const hasParent = process.env.GRADCAST_LEASH === 'stdin';
  const interrupt = interruptWorker(hasParent);
  const { signal } = interrupt;
  const { sampleCache } = flags;
  const log = await createWorkerLog(flags);
  const { urlFile } = place;
  const found =
    urlFile === undefined
      ? place.link
      : await waitForUrlFile(urlFile, { ...log, signal, clock: systemClock(globalThis) });
  // A function, since TypeScript narrows a property that changes meanwhile.
  const isLeaving = (): boolean => signal.aborted;
  if (isLeaving()) return ExitCode.interrupted;
  if (found === null) {
    log.info(`The run is finished, as ${urlFile ?? ''} says.`);
    return 0;
  }
  // The parent process has prepared the engine; and an installation brings none for GPUs.
  const isStartedByHand = process.env.GRADCAST_LEASH === undefined;
  if (flags.engine === 'native' && isStartedByHand && flags.devices === undefined) {
    await requireNativeEngine(context, signal, flags.log === 'json' ? asStream(log.info) : process.stderr);
    if (isLeaving()) return ExitCode.interrupted;
  }
  if (isStartedByHand && flags.devices === undefined) await offerWebGpu(flags, context.commandLine, log.info);
  return runWorkers({
    ...flags,
    ...log,
    url: found.url,
    token: found.token ?? flags.token,
    fingerprint: found.fingerprint,
    fingerprints: flags.fingerprint,
    urlFile,
    alternatives: withToken(place.alternatives, flags.token),
    isSibling,
    machine: process.env.GRADCAST_MACHINE_NAME,
    program,
    sampleCacheBytes: sampleCache === undefined ? undefined : sampleCache * 2 ** 20,
    childOptions: [
      ...['--log', flags.log],
      ...(flags.quiet === true ? ['--quiet'] : []),
      ...(sampleCache === undefined ? [] : ['--sample-cache', String(sampleCache)]),
    ],
    signal,
    isTerminated: () => interrupt.stoppedBy === 'SIGTERM',
  });
}

/**
 * Stops a worker in order at the first signal; a second Ctrl-C or SIGTERM ends it at once. With a parent process, only SIGTERM and the
 * end of stdin count: Ctrl-C reaches the whole terminal, but the parent process needs this worker to finish the step.
 */
function interruptWorker(hasParent: boolean): Interrupt {
  return hasParent
    ? listenForInterrupts({ signals: ['SIGTERM'], stopsWithStdin: true })
    : listenForInterrupts({ forceExitOn: ['SIGINT', 'SIGTERM'] });
}

/** Writes to stderr: `info` about normal progress, `note` about problems. */
async function createWorkerLog({ quiet, log }: WorkerFlags): Promise<Record<'info' | 'note', WriteLine>> {
  const write = (text: string): void => void process.stderr.write(text);
  const writeLine = (line: string): void => write(`${line}\n`);
  const json = log === 'json' ? (await import('../coordinator/report/log.ts')).jsonLog(write) : null;
  const info: WriteLine = json === null ? writeLine : (...line) => json.info(...line);
  return {
    info: quiet === true ? () => undefined : info,
    note: json === null ? writeLine : (...line) => json.warn(...line),
  };
}

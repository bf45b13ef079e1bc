import { hostname } from 'node:os';
import { Option, type Command } from 'commander';
import type { LogFormat } from '../coordinator/report/log.ts';
import type { CoordinatorLink } from '../shared/protocol/coordinator-link.ts';
import { isInteractive } from '../shared/util/terminal.ts';
import { systemClock } from '../shared/util/clock.ts';
import { ExitCode } from '../shared/util/exit-codes.ts';
import { isLoopback } from '../shared/util/loopback.ts';
import { flagName } from '../shared/util/option-names.ts';
import type { CliContext } from './context.ts';
import {
  LINKS_HELP,
  placeOfCoordinator,
  urlFileOption,
  withToken,
  type CoordinatorPlace,
} from './coordinator-place.ts';
import { interruptWithNotice } from './interrupt.ts';
import {
  clientTokenOption,
  codecOption,
  fingerprintOption,
  fraction,
  integer,
  logOption,
  maxWorkersOption,
  token,
  trustOption,
} from './options.ts';

interface RelayFlags {
  readonly token?: string;
  readonly workersToken?: string;
  readonly fingerprint?: readonly string[];
  /** Hashes of custom code that is passed on. */
  readonly trust?: readonly string[];
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly https?: boolean;
  readonly cert?: string;
  readonly key?: string;
  readonly maxWorkers?: number;
  readonly audit?: number;
  readonly codec: string;
  /** In MiB. */
  readonly sampleCache?: number;
  readonly log: LogFormat;
}

const DEFAULT_PORT = 2718;
const DEFAULT_SAMPLE_CACHE = 512;

/** `gradcast relay`: one worker of a run, which has workers of its own. */
export function addRelay(cli: Command, context: CliContext): void {
  cli
    .command('relay')
    .summary('join a run with the workers of a local network, over one link')
    .description(
      'Join a run as one worker, and let other workers join here: their gradients travel up as one sum, the weights come down once. ' +
        'For machines that share a slow link, and for more workers than one coordinator serves. Ctrl-C leaves.',
    )
    .argument('[links...]', LINKS_HELP)
    .addOption(
      urlFileOption('file with the address of the coordinator, which `coordinator --url-file` writes'),
    )
    .addOption(clientTokenOption())
    .addOption(
      new Option(
        '--workers-token <token>',
        'secret that workers need to join here (default: the token of the coordinator)',
      ).argParser(token('to take that of the coordinator')),
    )
    .addOption(fingerprintOption())
    .addOption(trustOption('the run'))
    .option('--name <name>', 'name of the relay in the run', hostname())
    .option('--host <address>', 'address to listen on', '0.0.0.0')
    .option('--port <n>', 'port to listen on; 0 takes a free one', integer(0, 65535), DEFAULT_PORT)
    .option('--https', 'serve https and wss; without --cert, with a self-signed certificate')
    .option('--cert <file>', 'certificate for https, followed by its chain (PEM)')
    .option('--key <file>', 'key of the certificate (PEM)')
    .addOption(maxWorkersOption())
    .option(
      '--audit <part>',
      'part of the shards, such as 0.02, to recompute before they count, besides the few that always are',
      fraction,
    )
    .option(
      '--sample-cache <mib>',
      `memory for samples, which then travel once (default: ${DEFAULT_SAMPLE_CACHE}; 0 for a coordinator on this machine)`,
      integer(0, 1_048_576),
    )
    .addOption(codecOption('links to the workers of the relay').default('float32'))
    .addOption(logOption())
    .addHelpText(
      'after',
      `
Examples:
  gradcast relay http://192.0.2.20:2718/#s3cret                     workers join here with the same token
  gradcast relay 192.0.2.20:2718 --token s3cret --workers-token lan --name lab
  gradcast worker http://relay:2718/#s3cret                         a worker of this relay
  gradcast relay http://relay:2718/#s3cret --port 2719              a relay below this one
  gradcast status http://relay:2718/#s3cret                         the workers of this relay`,
    )
    .action(async (links: string[], flags: RelayFlags, command: Command) => {
      const place = placeOfCoordinator(command, links);
      await context.prepare();
      process.exitCode = await runRelayCommand(place, flags, context);
    });
}

/**
 * @param place of the coordinator; the token of its link replaces the option's
 * @returns the exit code
 */
async function runRelayCommand(
  place: CoordinatorPlace,
  flags: RelayFlags,
  context: CliContext,
): Promise<number> {
  const [{ CoordinatorHost }, { runRelay }, { growHeap }, { createReporter }] = await Promise.all([
    import('../coordinator/hosting/coordinator.ts'),
    import('../coordinator/relay/run-relay.ts'),
    import('../coordinator/commands/run-training.ts'),
    import('../coordinator/report/create-reporter.ts'),
  ]);
  const [
    { printAddresses },
    { certificateFor },
    { userCacheDir },
    { connectPinned },
    { locateByUrlFile, waitForUrlFile },
    { LEFT, locateInTurn },
  ] = await Promise.all([
    import('../coordinator/report/addresses.ts'),
    import('../coordinator/server/tls.ts'),
    import('../coordinator/data/load-dataset.ts'),
    import('../worker-node/connect-websocket.ts'),
    import('../worker-node/url-file.ts'),
    import('../shared/worker/connection-loop.ts'),
  ]);
  growHeap();
  const { name, audit, trust, log, sampleCache, token } = flags;
  const { urlFile } = place;
  const clock = systemClock(globalThis);
  const report = createReporter(process.stdout, clock, log);
  const { signal } = interruptWithNotice(
    report,
    () => 'Leaving the run; its workers look for another coordinator.',
  );
  const info = (line: string): void => report.info(line);
  const found = place.link ?? (await waitForUrlFile(place.urlFile, { info, signal, clock }));
  // A function, since TypeScript narrows a property that changes meanwhile.
  const isLeaving = (): boolean => signal.aborted;
  if (isLeaving()) return ExitCode.interrupted;
  if (found === null) {
    info(`The run is finished, as ${urlFile ?? ''} says.`);
    return 0;
  }
  const links = withToken([found, ...(place.alternatives ?? [])], token);
  const uplink = links[0] as CoordinatorLink;
  const locate = urlFile === undefined ? locateInTurn(links) : locateByUrlFile(urlFile, token);
  const tls = await certificateFor(flags, userCacheDir(), new Date());
  const workersToken = flags.workersToken ?? uplink.token;
  const host = new CoordinatorHost({
    token: workersToken,
    maxWorkers: flags.maxWorkers,
    maxRuns: Infinity,
    pageDir: context.pageDir,
    optionName: flagName,
    clock,
  });
  await host.listen({ host: flags.host, port: flags.port, tls });
  const isScreen = isInteractive(process.stdout, process.env) && log === 'text';
  printAddresses(host.urls, { token: workersToken, workers: 0, tls }, context, report, isScreen);
  const defaultCache = isLoopback(new URL(uplink.url).hostname) ? 0 : DEFAULT_SAMPLE_CACHE;
  try {
    const reason = await runRelay({
      ...uplink,
      ...(links.length > 1 || urlFile !== undefined ? { locate } : {}),
      name,
      version: context.version,
      host,
      connect: connectPinned(flags.fingerprint),
      sampleStore: { maxBytes: (sampleCache ?? defaultCache) * 2 ** 20 },
      trust,
      audit,
      codec: flags.codec,
      openCoordinatorEngine: context.openCoordinatorEngine,
      clock,
      random: Math.random,
      report,
      signal,
    });
    report.close();
    if (isLeaving() && reason === LEFT) return ExitCode.interrupted;
    report.info(`${name}: ${reason}`, { event: 'ended' });
    return ExitCode.done;
  } finally {
    report.close();
  }
}

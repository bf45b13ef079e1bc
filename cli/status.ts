import type { Command } from 'commander';
import type { StatusContext, StatusFlags, WatchContext } from '../coordinator/observe/read-status.ts';
import { formatCoordinatorLink } from '../shared/protocol/coordinator-link.ts';
import { systemClock } from '../shared/util/clock.ts';
import { sanitizeForTerminal } from '../shared/util/sanitize.ts';
import type { CliContext } from './context.ts';
import { LINK_HELP, placeOfCoordinator, urlFileOption } from './coordinator-place.ts';
import { clientTokenOption, fingerprintOption } from './options.ts';

interface WatchFlag {
  readonly watch?: boolean;
}

/** `gradcast status`: prints the state of a run. */
export function addStatus(cli: Command, context: CliContext): void {
  cli
    .command('status')
    .summary('show the state of a run')
    .description('Show the state of a run: epoch, loss, every worker, and which worker the steps wait for.')
    .argument('[link]', LINK_HELP)
    .addOption(
      urlFileOption('file with the address of the coordinator, which `coordinator --url-file` writes'),
    )
    .addOption(clientTokenOption())
    .addOption(fingerprintOption())
    .option('--watch', 'show the state until the run ends, and again after a lost connection')
    .option('--json', 'print the messages that observers get, for programs; with --watch one object a line')
    .addHelpText(
      'after',
      '\nExamples:\n  gradcast status http://192.168.1.20:2718/#s3cret\n  gradcast status --watch http://192.168.1.20:2718/#s3cret',
    )
    .action(async (link: string | undefined, flags: StatusFlags & WatchFlag, command: Command) => {
      const place = placeOfCoordinator(command, link);
      await context.prepare();
      const [{ readStatus }, { connectPinned }, { waitForUrlFile }] = await Promise.all([
        import('../coordinator/observe/read-status.ts'),
        import('../worker-node/connect-websocket.ts'),
        import('../worker-node/url-file.ts'),
      ]);
      const { signal } = new AbortController();
      const clock = systemClock(globalThis);
      const print = (line: string): boolean => process.stderr.write(`${line}\n`);
      const found = place.link ?? (await waitForUrlFile(place.urlFile, { signal, clock, info: print }));
      if (found === null) {
        print(`The run is finished, as ${place.urlFile ?? ''} says.`);
        return;
      }
      const createConnector: StatusContext['createConnector'] = (fingerprints) =>
        Promise.resolve(connectPinned(fingerprints));
      const address = formatCoordinatorLink(found);
      if (flags.watch === true) {
        await watch(address, flags, { createConnector, clock });
        return;
      }
      const lines = await readStatus(address, flags, { createConnector });
      for (const line of lines) process.stdout.write(`${line}\n`);
    });
}

/** Shows the state of a run until it ends. */
async function watch(
  link: string,
  flags: StatusFlags,
  context: StatusContext & Pick<WatchContext, 'clock'>,
): Promise<void> {
  const [{ watchStatus }, { describeStatus }, { statusScreen }] = await Promise.all([
    import('../coordinator/observe/read-status.ts'),
    import('../coordinator/observe/describe-status.ts'),
    import('../coordinator/report/status-screen.ts'),
  ]);
  const screen = statusScreen(process.stdout, context.clock, process.env);
  let lines: readonly string[] = [];
  try {
    const reason = await watchStatus(link, flags, {
      ...context,
      random: Math.random,
      onStatus(status) {
        lines = describeStatus(status);
        if (flags.json === true) process.stdout.write(`${JSON.stringify(status)}\n`);
        else screen.show(lines);
      },
      onLost(reason) {
        const text = `Connection lost: ${sanitizeForTerminal(reason)}. Reconnecting ...`;
        if (flags.json === true) process.stderr.write(`${text}\n`);
        else screen.show([...lines, '', text]);
      },
    });
    if (flags.json !== true) screen.show([...lines, '', sanitizeForTerminal(reason)]);
  } finally {
    screen.close();
  }
}

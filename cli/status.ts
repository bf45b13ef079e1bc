import type { Command } from 'commander';
import type { StatusFlags } from '../coordinator/observe/read-status.ts';
import { formatCoordinatorLink } from '../shared/protocol/coordinator-link.ts';
import { systemClock } from '../shared/util/clock.ts';
import type { CliContext } from './context.ts';
import { LINK_HELP, placeOfCoordinator, urlFileOption } from './coordinator-place.ts';
import { clientTokenOption, fingerprintOption } from './options.ts';

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
    .option('--json', 'print the messages that observers get, for programs')
    .addHelpText('after', '\nExample:\n  gradcast status http://192.168.1.20:2718/#s3cret')
    .action(async (link: string | undefined, flags: StatusFlags, command: Command) => {
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
      const lines = await readStatus(formatCoordinatorLink(found), flags, {
        createConnector: (fingerprints) => Promise.resolve(connectPinned(fingerprints)),
      });
      for (const line of lines) process.stdout.write(`${line}\n`);
    });
}

import type { Command } from 'commander';
import type { StatusFlags } from '../coordinator/observe/read-status.ts';
import type { CliContext } from './context.ts';
import { clientTokenOption, fingerprintOption } from './options.ts';

/** `gradcast status`: prints the state of a run. */
export function addStatus(cli: Command, context: CliContext): void {
  cli
    .command('status')
    .summary('show the state of a run')
    .description('Show the state of a run: epoch, loss, every worker, and which worker the steps wait for.')
    .argument('<link>', 'the link that the coordinator printed, or host:port')
    .addOption(clientTokenOption())
    .addOption(fingerprintOption())
    .option('--json', 'print the messages that observers get, for programs')
    .addHelpText('after', '\nExample:\n  gradcast status http://192.168.1.20:2718/#s3cret')
    .action(async (link: string, flags: StatusFlags) => {
      await context.prepare();
      const [{ readStatus }, { connectPinned }] = await Promise.all([
        import('../coordinator/observe/read-status.ts'),
        import('../worker-node/connect-websocket.ts'),
      ]);
      const lines = await readStatus(link, flags, {
        createConnector: (fingerprint) => Promise.resolve(connectPinned(fingerprint)),
      });
      for (const line of lines) process.stdout.write(`${line}\n`);
    });
}

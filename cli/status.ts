import type { Command } from 'commander';
import type { StatusFlags } from '../coordinator/observe/read-status.ts';
import type { CliEnvironment } from './main.ts';
import { fingerprintOption, clientTokenOption } from './options.ts';

/** `gradcast status`: prints the state of a run. */
export function addStatus(cli: Command, load: CliEnvironment['load']): void {
  cli
    .command('status')
    .summary('how a run goes')
    .description('How a run goes: epoch, figures, every worker, and whom the steps wait for.')
    .argument('<link>', 'the link that the coordinator printed, or host:port')
    .addOption(clientTokenOption())
    .addOption(fingerprintOption())
    .option('--json', 'for programs: what the coordinator tells observers')
    .addHelpText('after', '\nExample:\n  gradcast status http://192.168.1.20:2718/#s3cret')
    .action(async (url: string, flags: StatusFlags) => {
      const commands = await load();
      for (const line of await commands.status(url, flags)) process.stdout.write(`${line}\n`);
    });
}

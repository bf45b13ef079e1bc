import { hostname } from 'node:os';
import type { Command } from 'commander';
import type { WorkerFlags } from './run-worker.ts';
import type { CliEnvironment } from './main.ts';
import {
  countOrAuto,
  devices,
  engineOption,
  fingerprintOption,
  installNativeOption,
  integer,
  clientTokenOption,
  logOption,
} from './options.ts';

/** `gradcast worker`: this machine computes for a run. */
export function addWorker(cli: Command, load: CliEnvironment['load']): void {
  cli
    .command('worker')
    .summary('attach this machine to a run')
    .description('Attach this machine to a run. Keeps trying while the coordinator is away; Ctrl-C leaves.')
    .argument('<link>', 'the link that the coordinator printed, or host:port')
    .addOption(clientTokenOption())
    .addOption(fingerprintOption())
    .option('--name <name>', 'what this machine is called in the run', hostname())
    .option('--workers <n>', 'worker processes: auto is what is fastest here', countOrAuto, 'auto')
    .option('--threads <n>', 'threads of each with native TensorFlow (default: its share)', integer(1, 1024))
    .option('--devices <list>', 'GPUs, one worker each: all, or numbers such as 0,1', devices)
    .addOption(engineOption('what computes'))
    .addOption(installNativeOption())
    .option('--quiet', 'say only what goes wrong')
    .addOption(logOption())
    .addHelpText(
      'after',
      `
Examples:
  gradcast worker http://192.168.1.20:2718/#s3cret
  gradcast worker 192.168.1.20:2718 --token s3cret --name lab-7 --workers 4
  gradcast worker 192.168.1.20:2718 --devices all       one worker for each GPU`,
    )
    .action(async (url: string, flags: WorkerFlags) => {
      const commands = await load();
      process.exitCode = await commands.worker(url, flags);
    });
}

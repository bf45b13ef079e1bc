import type { Command } from 'commander';
import type { TrainFlags } from './run-train.ts';
import type { CliEnvironment } from './main.ts';
import { countOrAuto, engineOption, installNativeOption, integer } from './options.ts';
import { addTrainingOptions } from './training-options.ts';

/** `gradcast train`: a coordinator, and workers in processes of their own. */
export function addTrain(cli: Command, load: CliEnvironment['load']): void {
  addTrainingOptions(cli.command('train'))
    .summary('train, with workers on this machine')
    .description(
      'Train on this machine: a coordinator, and workers in processes of their own. Others may join.',
    )
    .option('--workers <n>', 'worker processes here: auto is what is fastest', countOrAuto, 'auto')
    .addOption(engineOption('what local workers compute with'))
    .addOption(installNativeOption())
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', 'port to listen on; 0 takes any that is free', integer(0, 65535), 0)
    .addHelpText(
      'after',
      `
Examples:
  gradcast train                             the MNIST CNN, 12 epochs
  gradcast train --epochs 1 --limit 6000     a quick look
  gradcast train --data fashion-mnist/       any data set of IDX files
  gradcast train --resume runs/2026-01-31-k3v9qd            resume a run that was stopped or crashed
  gradcast train --host 0.0.0.0 --port 2718 --token s3cret    others may join`,
    )
    .action(async (flags: Omit<TrainFlags, 'command'>) => {
      const commands = await load();
      process.exitCode = await commands.train({ ...flags, command: 'train' });
    });
}

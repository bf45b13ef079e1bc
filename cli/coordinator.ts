import type { Command } from 'commander';
import type { TrainFlags } from './run-train.ts';
import type { CliEnvironment } from './main.ts';
import { integer } from './options.ts';
import { addTrainingOptions } from './training-options.ts';

const DEFAULT_PORT = 2718;

/** `gradcast coordinator`: a run without workers of its own. */
export function addCoordinator(cli: Command, load: CliEnvironment['load']): void {
  addTrainingOptions(cli.command('coordinator'))
    .summary('start a run that other machines join')
    .description(
      'Start a run that other machines join. Prints the addresses, then waits for the first worker.',
    )
    .option('--host <address>', 'address to listen on', '0.0.0.0')
    .option('--port <n>', 'port to listen on; 0 takes any that is free', integer(0, 65535), DEFAULT_PORT)
    .option('--min-workers <n>', 'wait for so many before the first step', integer(1, 1_000))
    .addHelpText(
      'after',
      `
Examples:
  gradcast coordinator --token s3cret
  gradcast coordinator --token s3cret --min-workers 4
  gradcast coordinator --token s3cret --https
  gradcast coordinator --host 127.0.0.1 --port 0 --epochs 3`,
    )
    .action(async (flags: Omit<TrainFlags, 'command' | 'workers' | 'engine' | 'installNative'>) => {
      const commands = await load();
      process.exitCode = await commands.train({
        ...flags,
        command: 'coordinator',
        workers: 0,
        engine: 'auto',
        installNative: 'never',
      });
    });
}

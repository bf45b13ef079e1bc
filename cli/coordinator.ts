import type { Command } from 'commander';
import { MAX_WORKERS } from '../coordinator/server/limits/connection-limits.ts';
import type { CliContext } from './context.ts';
import { DEFAULT_ADDRESSES, integer, maxWorkersOption } from './options.ts';
import { addTaskArgument, readRunFlags } from './task-flags.ts';
import { addTrainingOptions, runTrain, withOptimizer, type TrainFlags } from './train.ts';

const { host, port } = DEFAULT_ADDRESSES.coordinator;

/** `gradcast coordinator`: a run without workers of its own. */
export function addCoordinator(cli: Command, context: CliContext): void {
  addTaskArgument(addTrainingOptions(cli.command('coordinator')))
    .summary('start a run that other machines join')
    .description(
      'Start a run that other machines join. Prints the addresses, then waits for the first worker.',
    )
    .optionsGroup('Network:')
    .option('--host <address>', 'address to listen on', host)
    .option('--port <n>', 'port to listen on; 0 takes a free one', integer(0, 65535), port)
    .optionsGroup('Workers:')
    .option(
      '--min-workers <n>',
      'number of workers to wait for before the first step',
      integer(1, MAX_WORKERS),
    )
    .addOption(maxWorkersOption())
    .addHelpText(
      'after',
      `
Examples:
  gradcast coordinator --token s3cret
  gradcast coordinator --token s3cret --min-workers 4
  gradcast coordinator task.ts --token s3cret
  gradcast coordinator --token s3cret --https
  gradcast coordinator --optimizer adam --learning-rate 1e-3 --schedule cosine --warmup-steps 100
  gradcast coordinator --host 127.0.0.1 --port 0 --epochs 3`,
    )
    .action(async (file: string | undefined, given: CoordinatorFlags, command: Command) => {
      const withoutWorkers = { workers: 0, engine: 'auto' } as const;
      const { flags, own } =
        file === undefined
          ? { flags: withOptimizer(given) }
          : await readRunFlags(file, given, command, context.prepare);
      process.exitCode = await runTrain(
        { ...flags, ...withoutWorkers, command: 'coordinator' },
        context,
        own,
      );
    });
}

/** Flags that the command has. */
type CoordinatorFlags = Omit<TrainFlags, 'command' | 'workers' | 'engine'>;

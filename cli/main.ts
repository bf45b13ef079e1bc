import { Command } from 'commander';
import type { Commands } from './commands.ts';
import { addCoordinator } from './coordinator.ts';
import { addEngine } from './engine.ts';
import { addEvaluate } from './evaluate.ts';
import { addPlan } from './plan.ts';
import { addPredict } from './predict.ts';
import { addStatus } from './status.ts';
import { addTrain } from './train.ts';
import { addWorker } from './worker.ts';

/** What the command line needs of the program around it. */
export interface CliEnvironment {
  readonly version: string;
  /** Loads the code of the commands. In a clone it installs and builds what is missing before. */
  readonly load: () => Promise<Commands>;
}

/**
 * Parses the command line and runs the command. Help, the version, `plan` and errors in options need nothing but this
 * module; all other commands are loaded when they run.
 * @param args without the names of Node and of the program
 * @throws Error with a sentence for the person
 */
export async function main(args: readonly string[], { version, load }: CliEnvironment): Promise<void> {
  const cli = new Command('gradcast')
    .description('Trains one model on many machines: GPU boxes, CPU cores and browser tabs, over WebSockets.')
    .version(version)
    // An option belongs to the command that it stands behind: `engine` and `engine probe` share the names of some.
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for the options and examples)');
  addTrain(cli, load);
  addCoordinator(cli, load);
  addStatus(cli, load);
  addPlan(cli);
  addEvaluate(cli, load);
  addWorker(cli, load);
  addEngine(cli, load);
  addPredict(cli, load);
  await cli.parseAsync(args, { from: 'user' });
}

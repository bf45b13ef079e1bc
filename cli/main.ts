import { ExitCode } from '../shared/util/exit-codes.ts';
import { addCompletion, complete, COMPLETE } from './completion.ts';
import { createContext, type CliContext, type CliEnvironment } from './context.ts';
import { addCoordinator } from './coordinator.ts';
import { addData } from './data.ts';
import { addEngine } from './engine.ts';
import { CommandWithVariables, readVariables, shortenHelp } from './environment.ts';
import { addEvaluate } from './evaluate.ts';
import { addExport } from './export.ts';
import { addInit } from './init.ts';
import { countSignalOwners } from './interrupt.ts';
import { addPlan } from './plan.ts';
import { addPredict } from './predict.ts';
import { addRelay } from './relay.ts';
import { addCompare, addRuns } from './runs.ts';
import { addStatus } from './status.ts';
import { addTrain } from './train.ts';
import { addWorker } from './worker.ts';

/** The command line with all commands. */
export function createCli(context: CliContext): CommandWithVariables {
  const cli = new CommandWithVariables('gradcast')
    .description('Trains one model on many machines: GPU boxes, CPU cores and browser tabs, over WebSockets.')
    .version(context.version)
    // Options belong to the command that they follow: `engine` and `engine probe` share the names of some.
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for the options and examples)')
    .addHelpText(
      'afterAll',
      '\nEvery option is an environment variable, too: GRADCAST_BATCH_SIZE is --batch-size (docs/environment.md).',
    )
    .addHelpText(
      'after',
      `
Exit codes: ${ExitCode.done} done, ${ExitCode.failed} error, ${ExitCode.interrupted} stopped by a signal (docs/guide/fleets.md).`,
    );
  shortenHelp(cli);
  addInit(cli, context);
  addTrain(cli, context);
  addCoordinator(cli, context);
  addStatus(cli, context);
  addRuns(cli, context);
  addCompare(cli, context);
  addPlan(cli);
  addData(cli, context);
  addEvaluate(cli, context);
  addExport(cli, context);
  addWorker(cli, context);
  addRelay(cli, context);
  addEngine(cli, context);
  addPredict(cli, context);
  addCompletion(cli);
  return cli;
}

/**
 * Parses the command line and runs the command. Help, the version, `plan` and errors in options need nothing but this
 * module; the other commands import what they run from the build.
 * @param args without the names of Node and of the program
 * @throws Error with a sentence for the person
 */
export async function main(args: readonly string[], environment: CliEnvironment): Promise<void> {
  countSignalOwners(environment.signals);
  const cli = createCli(createContext(environment));
  if (args[0] === COMPLETE) {
    const words = args.slice(args[1] === '--' ? 2 : 1);
    process.stdout.write((await complete(cli, words)).map((line) => `${line}\n`).join(''));
    return;
  }
  readVariables(cli, process.env, (line) => process.stderr.write(`gradcast: ${line}\n`));
  await cli.parseAsync(args, { from: 'user' });
}

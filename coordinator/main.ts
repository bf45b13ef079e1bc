import { Option, type Command } from 'commander';
import { parseFingerprint } from '../shared/fingerprint.ts';
import {
  bitRate,
  countOrAuto,
  decimal,
  integer,
  interval,
  knownTokenOption,
  logOption,
  part,
  token,
} from '../shared/options.ts';
import type { EvaluateFlags } from './evaluate-command.ts';
import { LINK_CODECS } from './members/link-codecs.ts';
import type { PlanFlags } from './plan/plan-command.ts';
import type { Program } from './program.ts';
import type { StatusFlags } from './status/status-command.ts';
import type { TrainFlags } from './train-command.ts';

const PORT = 2718;
const seedOption = (): Option =>
  new Option('--seed <n>', 'fixes initial weights, order and dropout')
    .argParser(integer(0, 2 ** 32 - 1))
    .default(1337);
const dataOption = (): Option =>
  new Option(
    '--data <dir>',
    'folder of IDX files (else that of MNIST_DIR, the cache, a download, or drawn digits)',
  );
const engineOption = (): Option =>
  new Option('--engine <engine>', 'what local workers compute with')
    .choices(['auto', 'native', 'wasm'])
    .default('auto');
const codecOption = (): Option =>
  new Option(
    '--codec <codec>',
    'how gradients and weights travel: auto is what suits each link; float32 is exact, float16 half the bytes, int8 a quarter, int4 an eighth up and a quarter down, int4/int4 an eighth',
  )
    .choices(['auto', ...Object.keys(LINK_CODECS)])
    .default('auto');
const tokenOption = (): Option =>
  new Option('--token <token>', 'only workers that know it may join')
    .env('GRADCAST_TOKEN')
    .argParser(token('to let in everybody'));

/** Adds what a coordinator can do to the program. */
export function addCoordinatorCommands(cli: Command, program: Program): void {
  withTrainingOptions(cli.command('train'))
    .summary('train, with workers on this machine')
    .description(
      'Train on this machine: a coordinator, and workers in processes of their own. Others may join.',
    )
    .option('--workers <n>', 'worker processes here: auto is what is fastest', countOrAuto, 'auto')
    .addOption(engineOption())
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', 'port to listen on; 0 takes any that is free', integer(0, 65535), 0)
    .addHelpText(
      'after',
      `
Examples:
  gradcast train                             the MNIST CNN, 12 epochs
  gradcast train --epochs 1 --limit 6000     a quick look
  gradcast train --data fashion-mnist/       any data set of IDX files
  gradcast train --resume runs/2026-01-31-k3v9qd            go on where it was stopped or died
  gradcast train --host 0.0.0.0 --port 2718 --token s3cret    others may join`,
    )
    .action(async (flags: TrainFlags) => {
      const { runTrain } = await import('./train-command.ts');
      process.exitCode = await runTrain({ ...flags, command: 'train' }, program);
    });

  withTrainingOptions(cli.command('coordinator'))
    .summary('train with workers that others attach')
    .description('Train with whatever joins: prints the addresses, then waits for the first worker.')
    .option('--host <address>', 'address to listen on', '0.0.0.0')
    .option('--port <n>', 'port to listen on; 0 takes any that is free', integer(0, 65535), PORT)
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
    .action(async (flags: TrainFlags) => {
      const { runTrain } = await import('./train-command.ts');
      process.exitCode = await runTrain(
        { ...flags, command: 'coordinator', workers: 0, engine: 'auto' },
        program,
      );
    });

  cli
    .command('status')
    .summary('how a run goes')
    .description('How a run goes: epoch, figures, every worker, and whom the steps wait for.')
    .argument('<url>', 'address that the coordinator printed, ws://host:port')
    .addOption(knownTokenOption())
    .option(
      '--fingerprint <hex>',
      'of a self-signed certificate: the one to trust (wss://)',
      parseFingerprint,
    )
    .option('--json', 'for programs: what the coordinator tells observers')
    .addHelpText('after', '\nExample:\n  gradcast status ws://192.168.1.20:2718 --token s3cret')
    .action(async (url: string, flags: StatusFlags) => {
      const { readStatus } = await import('./status/status-command.ts');
      for (const line of await readStatus(url, flags, program)) process.stdout.write(`${line}\n`);
    });

  cli
    .command('plan')
    .summary('what more machines would bring')
    .description(
      'How long a step would take with so many workers behind such links, without starting anything: a forecast from a model of compute, links and codecs.',
    )
    .option('--workers <n>', 'how many', integer(1, 1_000), 4)
    .addOption(
      new Option('--rate <rate>', "of each worker's link").argParser(bitRate).default(1e8, '100mbit'),
    )
    .option('--delay <ms>', 'of a link, one way', decimal('zero'), 1)
    .option(
      '--coordinator-rate <rate>',
      "of the coordinator's link (default: ten times a worker's, up to 1gbit)",
      bitRate,
    )
    .option(
      '--ms-per-sample <ms>',
      'what a worker computes for each sample; gradcast engine probe says it',
      decimal(),
      0.3,
    )
    .option('--batch-size <n>', 'samples a step', integer(1, 1_000_000), 128)
    .addOption(codecOption())
    .option('--parameters <n>', 'of the model', integer(1), 600_810)
    .option('--sample-bytes <n>', 'of one sample', integer(1), 784)
    .option(
      '--tail-at <part>',
      'when most of a gradient is there: 0.5 for workers in browsers and with --engine wasm, 1 for --engine native',
      part,
      1,
    )
    .addHelpText(
      'after',
      `
Examples:
  gradcast plan --workers 8 --rate 100mbit --ms-per-sample 0.3
  gradcast plan --workers 4 --rate 20mbit --delay 40 --ms-per-sample 1 --batch-size 1024
  gradcast plan --workers 2 --rate 1gbit --delay 0.2 --codec float32`,
    )
    .action(async (flags: PlanFlags) => {
      const { runPlan } = await import('./plan/plan-command.ts');
      for (const line of runPlan(flags)) process.stdout.write(`${line}\n`);
    });

  cli
    .command('evaluate')
    .summary('loss and accuracy of a trained model')
    .description('Loss and accuracy of a trained model on the test samples of a data set.')
    .argument('<model-dir>', 'folder of a run, or model/ in it')
    .addOption(dataOption())
    .option('--workers <n>', 'worker processes here: auto is what is fastest', countOrAuto, 'auto')
    .addOption(engineOption())
    .addHelpText('after', '\nExample:\n  gradcast evaluate runs/2026-01-31-k3v9qd --data mnist/')
    .action(async (modelDir: string, flags: EvaluateFlags) => {
      const { runEvaluate } = await import('./evaluate-command.ts');
      process.exitCode = await runEvaluate(modelDir, flags, program);
    });
}

function withTrainingOptions(command: Command): Command {
  return command
    .option('--epochs <n>', 'passes over the training samples (default: 12)', integer(1, 1_000_000))
    .option('--batch-size <n>', 'samples a step', integer(1, 1_000_000), 128)
    .addOption(seedOption())
    .addOption(dataOption())
    .option('--out <dir>', 'folder for model, history and config (default: runs/<date>-<id>)')
    .option('--limit <n>', 'only the first n training samples, for a quick look', integer(1))
    .option('--model <file>', 'train this model (Keras or tfjs JSON) instead of the MNIST CNN')
    .addOption(
      new Option(
        '--resume <dir>',
        'go on with a run from its last checkpoint; --codec, --audit and --token are to be given again',
      ).conflicts([...['out', 'limit', 'model', 'batchSize', 'seed', 'exact', 'microShard']]),
    )
    .option('--checkpoint-every <n>', 'steps (500), seconds (30s) or minutes (5m) between two', interval, {
      ms: 300_000,
    })
    .option('--audit <part>', 'have this part of the shards, such as 0.02, computed twice and compared', part)
    .option('--exact', 'the same bits whoever takes part, comes and goes: docs/decisions/exact.md')
    .option('--micro-shard <n>', 'samples that --exact computes at a time', integer(1, 65_536), 16)
    .addOption(codecOption())
    .addOption(tokenOption())
    .option('--https', 'serve https and wss, with a certificate made here if none is given')
    .option('--cert <file>', 'certificate to serve https with (PEM), and those that it rests on')
    .option('--key <file>', 'its key (PEM)')
    .addOption(logOption());
}

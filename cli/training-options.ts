import { Option, type Command } from 'commander';
import {
  codecOption,
  dataOption,
  integer,
  interval,
  logOption,
  fraction,
  tokenOption,
  transposeOption,
} from './options.ts';

const DEFAULT_SEED = 1337;

/** Adds the options that `train` and `coordinator` share. */
export function addTrainingOptions(command: Command): Command {
  return command
    .option('--epochs <n>', 'passes over the training samples (default: 12)', integer(1, 1_000_000))
    .option('--batch-size <n>', 'samples a step', integer(1, 1_000_000), 128)
    .addOption(
      new Option('--seed <n>', 'fixes initial weights, order and dropout')
        .argParser(integer(0, 2 ** 32 - 1))
        .default(DEFAULT_SEED),
    )
    .addOption(dataOption())
    .addOption(transposeOption())
    .option('--out <dir>', 'folder for model, history and config (default: runs/<date>-<id>)')
    .option('--limit <n>', 'only the first n training samples, for a quick look', integer(1))
    .option('--model <file>', 'train this model (Keras or tfjs JSON) instead of the MNIST CNN')
    .addOption(
      new Option(
        '--resume <dir>',
        'resume a run from its last checkpoint; --codec, --audit and --token are to be given again',
      ).conflicts(['out', 'limit', 'model', 'batchSize', 'seed', 'exact', 'microShard', 'transpose']),
    )
    .addOption(
      new Option(
        '--checkpoint-every <n>',
        'save a checkpoint every 500 steps, 30s or 5m (default: 5m; with --resume: as before)',
      ).argParser(interval),
    )
    .option(
      '--audit <part>',
      'recompute this part of the shards, such as 0.02, before they count, besides a few that are by default',
      fraction,
    )
    .option('--exact', 'the same bits whoever takes part, comes and goes: docs/decisions/0022-exact-mode.md')
    .option('--micro-shard <n>', 'samples that --exact computes at a time', integer(1, 65_536), 16)
    .addOption(codecOption())
    .addOption(tokenOption())
    .option('--https', 'serve https and wss, with a certificate made here if none is given')
    .option('--keep-open', 'after the end, serve the page with the trained model until Ctrl-C')
    .option('--cert <file>', 'certificate to serve https with (PEM), and those that it rests on')
    .option('--key <file>', 'its key (PEM)')
    .addOption(logOption());
}

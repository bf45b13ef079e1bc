import { Option, type Command } from 'commander';
import { OPTIMIZER_NAMES } from '../coordinator/optimizer/hyperparameters.ts';
import { wholeGradientReason } from '../coordinator/optimizer/whole-gradient.ts';
import { describePlan } from '../coordinator/plan/describe-plan.ts';
import type { OptimizerName } from '../shared/model/optimizer-settings.ts';
import { bitRate, codecOption, decimal, fraction, integer } from './options.ts';

/** `gradcast plan`: forecasts the time of a step without starting anything. */
export function addPlan(cli: Command): void {
  cli
    .command('plan')
    .summary('forecast the gain of more machines')
    .description(
      'Forecast the time of a step for a number of workers and their links, from a model of compute, links and codecs. Starts nothing.',
    )
    .addOption(
      new Option('--workers <n>', 'number of workers')
        .env('GRADCAST_PLAN_WORKERS')
        .argParser(integer(1, 1_000))
        .default(4),
    )
    .addOption(
      new Option('--rate <rate>', "bit rate of each worker's link")
        .argParser(bitRate)
        .default(1e8, '100mbit'),
    )
    .option('--delay <ms>', 'latency of a link, one way', decimal('zero'), 1)
    .option(
      '--coordinator-rate <rate>',
      "bit rate of the coordinator's link (default: ten times a worker's, up to 1gbit)",
      bitRate,
    )
    .option(
      '--ms-per-sample <ms>',
      'compute time of a sample on a worker, as gradcast engine prints it',
      decimal(),
      0.3,
    )
    .option('--batch-size <n>', 'samples a step', integer(1, 1_000_000), 128)
    .addOption(codecOption())
    .option('--parameters <n>', 'parameters of the model', integer(1), 600_810)
    .option('--sample-bytes <n>', 'bytes of one sample', integer(1), 784)
    .option(
      '--first-bucket-at <part>',
      'part of the compute time after which the first bucket of a gradient is ready: 0.5 in browsers and with --engine wasm, 1 with --engine native',
      fraction,
      1,
    )
    .addOption(
      new Option(
        '--optimizer <name>',
        'optimizer of the run: lamb and muon need the whole gradient, which costs time',
      ).choices(OPTIMIZER_NAMES),
    )
    .option('--clip-norm <n>', "maximum norm of each tensor's gradient, as of train", decimal())
    .option('--global-clip-norm <n>', 'maximum norm of the whole gradient, as of train', decimal())
    .addHelpText(
      'after',
      `
Examples:
  gradcast plan --workers 8 --rate 100mbit --ms-per-sample 0.3
  gradcast plan --workers 4 --rate 20mbit --delay 40 --ms-per-sample 1 --batch-size 1024
  gradcast plan --workers 2 --rate 1gbit --delay 0.2 --codec float32
  gradcast plan --workers 4 --rate 100mbit --optimizer adam --global-clip-norm 1`,
    )
    .action((flags: PlanFlags) => {
      for (const line of runPlan(flags)) process.stdout.write(`${line}\n`);
    });
}

export interface PlanFlags {
  readonly workers: number;
  /** Bits a second. */
  readonly rate: number;
  readonly coordinatorRate?: number;
  /** One way, ms. */
  readonly delay: number;
  readonly msPerSample: number;
  readonly batchSize: number;
  readonly codec: string;
  readonly parameters: number;
  readonly sampleBytes: number;
  readonly firstBucketAt: number;
  readonly optimizer?: OptimizerName;
  readonly clipNorm?: number;
  readonly globalClipNorm?: number;
}

const DEFAULT_MODEL = { values: 600_810, kernel: { offset: 9_568, inputs: 4_608, outputs: 128 } };
/** A coordinator usually has a faster link than its workers, up to this rate. */
const MAX_COORDINATOR_RATE = 1e9;

/** @returns lines of the forecast */
export function runPlan(flags: PlanFlags): string[] {
  const { codec, delay, parameters, rate, coordinatorRate, firstBucketAt, ...others } = flags;
  const { optimizer: name = 'adadelta', clipNorm, globalClipNorm, ...rest } = others;
  return describePlan(
    {
      ...rest,
      rate,
      delayMs: delay,
      gradientReadyAt: firstBucketAt,
      parameterCount: parameters,
      wholeGradientFor: wholeGradientReason({ name, clipNorm, globalClipNorm }),
      // Only the shape of the default model is known here.
      kernel: parameters === DEFAULT_MODEL.values ? DEFAULT_MODEL.kernel : null,
      coordinatorRate: coordinatorRate ?? Math.max(rate, Math.min(MAX_COORDINATOR_RATE, 10 * rate)),
    },
    codec,
  );
}

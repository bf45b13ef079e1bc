import { Option, type Command } from 'commander';
import { runPlan, type PlanFlags } from '../coordinator/plan/plan-command.ts';
import { bitRate, codecOption, decimal, integer, fraction } from './options.ts';

/** `gradcast plan`: a forecast that needs nothing but arithmetic. */
export function addPlan(cli: Command): void {
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
      'what a worker computes for each sample; gradcast engine says it',
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
      fraction,
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
    .action((flags: PlanFlags) => {
      for (const line of runPlan(flags)) process.stdout.write(`${line}\n`);
    });
}

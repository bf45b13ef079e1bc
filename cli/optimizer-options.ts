import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ScheduleOptions } from '../coordinator/optimizer/common-options.ts';
import {
  OPTIMIZER_NAMES,
  optimizerKeys,
  SCHEDULE_NAMES,
  scheduleKeys,
  type OptimizerChanges,
  type OptimizerOptions,
} from '../coordinator/optimizer/hyperparameters.ts';
import { kebabCase } from '../shared/util/option-names.ts';
import type { OptimizerName } from '../shared/model/optimizer-settings.ts';
import { fraction, integer } from './options.ts';

/** Parses a number, also in exponent notation. */
function number(text: string): number {
  const value = Number(text);
  if (/^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('It takes a number, such as 0.001 or 1e-3.');
}

/** Parser of a number above 0, or of at least 0. */
const numberFrom =
  (min: 'zero' | 'positive') =>
  (text: string): number => {
    const value = number(text);
    if (min === 'zero' ? value >= 0 : value > 0) return value;
    throw new InvalidArgumentError(`It takes a number ${min === 'zero' ? 'of 0 or more' : 'above 0'}.`);
  };

/** Parses numbers with commas between. */
const numbers = (text: string): number[] => text.split(',').map(numberFrom('zero'));
const wholeNumbers = (text: string): number[] => text.split(',').map(integer(0));
const words = (text: string): string[] => text.split(',').filter((word) => word !== '');

const camel = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

const SCHEDULE_CHOICES = SCHEDULE_NAMES.map(kebabCase);

/** A flag with its argument, help and parser. A flag without a parser is a switch. */
type Spec = readonly [flag: string, help: string, parse?: (text: string) => unknown];

const OPTIMIZER_SPECS: readonly Spec[] = [
  [
    '--learning-rate <rate>',
    "learning rate; with a schedule, the full one (default: Keras' of the optimizer; adadelta: 1, scaled)",
    numberFrom('zero'),
  ],
  ['--momentum <part>', 'part of the last update that is repeated (sgd, rmsprop, muon)', fraction],
  ['--nesterov', "Nesterov's momentum (sgd; muon always has it)"],
  ['--beta-1 <part>', 'part of the mean gradient that is kept (the Adam family, lion)', fraction],
  ['--beta-2 <part>', 'part of the mean square gradient that is kept (the Adam family, lion)', fraction],
  ['--rho <part>', 'part of the averages that is kept (adadelta, rmsprop)', fraction],
  ['--epsilon <n>', 'added to divisors', numberFrom('zero')],
  ['--amsgrad', 'divide by the largest mean square gradient so far (adam, adamw)'],
  ['--centered', "divide by the gradient's deviation (rmsprop)"],
  ['--initial-accumulator <n>', 'value that the sums of squares start from (adagrad)', numberFrom('zero')],
  [
    '--weight-decay <part>',
    'part of each weight, times the learning rate, taken off in each update',
    numberFrom('zero'),
  ],
  ['--no-decay <names>', 'tensors without weight decay, by parts of their names: bias,gamma', words],
  ['--clip-norm <n>', "maximum norm of each tensor's gradient", numberFrom('positive')],
  ['--global-clip-norm <n>', 'maximum norm of the whole gradient', numberFrom('positive')],
  ['--clip-value <n>', 'maximum magnitude of a value of the gradient', numberFrom('positive')],
  [
    '--ema [momentum]',
    'evaluate and save a moving average of the weights (default momentum: 0.99)',
    fraction,
  ],
  ['--ema-overwrite <steps>', 'put the average in the place of the weights every so many steps', integer(1)],
  ['--accumulate <steps>', 'average the gradients of this many steps for one update', integer(2)],
];

const SCHEDULE_SPECS: readonly Spec[] = [
  ['--decay-steps <n>', 'steps of the decay, or of the first period (default: those of the run)', integer(1)],
  ['--warmup-steps <n>', 'steps of a linear warm-up (cosine)', integer(0)],
  [
    '--warmup-from <rate>',
    'learning rate at the start of the warm-up (cosine; default: 0)',
    numberFrom('zero'),
  ],
  [
    '--alpha <part>',
    'last learning rate, as a part of the full one (cosine, cosine-restarts; default: 0)',
    fraction,
  ],
  [
    '--period-factor <n>',
    "factor of each period's steps (cosine-restarts; default: 2)",
    numberFrom('positive'),
  ],
  [
    '--rate-factor <n>',
    "factor of each period's learning rate (cosine-restarts; default: 1)",
    numberFrom('zero'),
  ],
  ['--decay-rate <n>', 'factor of the decay (exponential: 0.96; inverse-time: 0.5)', numberFrom('zero')],
  ['--staircase', 'change the rate only every --decay-steps steps (exponential, inverse-time)'],
  ['--boundaries <steps>', 'last step of each rate but the last: 1000,2000 (piecewise)', wholeNumbers],
  ['--rates <rates>', 'learning rates, one more than boundaries: 0.1,0.01,0.001 (piecewise)', numbers],
  ['--end-learning-rate <rate>', 'last learning rate (polynomial; default: 0.0001)', numberFrom('zero')],
  ['--power <n>', 'exponent (polynomial; default: 1)', number],
  ['--cycle', 'begin again after the decay (polynomial)'],
  ['--monitor <score>', 'loss or metric, as val_accuracy (plateau; default: val_loss)', String],
  ['--mode <direction>', 'whether a smaller or larger score is better: auto, min or max (plateau)', String],
  ['--factor <part>', 'factor of the learning rate (plateau; default: 0.1)', fraction],
  [
    '--patience <epochs>',
    'epochs without an improvement before a reduction (plateau; default: 10)',
    integer(0),
  ],
  ['--min-delta <n>', 'smallest improvement (plateau; default: 0.0001)', numberFrom('zero')],
  ['--cooldown <epochs>', 'epochs without a reduction after one (plateau; default: 0)', integer(0)],
  ['--min-learning-rate <rate>', 'smallest learning rate (plateau; default: 0)', numberFrom('zero')],
];

function createOption([flag, help, parse]: Spec, group: string): Option {
  const option = new Option(flag, help).helpGroup(group);
  // Commander takes --no-decay for the opposite of --decay.
  option.negate = false;
  return parse === undefined ? option : option.argParser(parse);
}

const longFlag = ([flag]: Spec): string => flag.split(' ')[0] ?? flag;
/** Name of an option's value among the parsed flags. */
const keyOf = (spec: Spec): string => createOption(spec, '').attributeName();

/** Keys of the parsed flags that choose an optimizer. */
export const OPTIMIZER_FLAG_KEYS: readonly string[] = [
  'optimizer',
  'schedule',
  ...[...OPTIMIZER_SPECS, ...SCHEDULE_SPECS].map(keyOf),
];

/** Adds `--optimizer`, `--schedule` and their hyperparameters to a command. */
export function addOptimizerOptions(command: Command): Command {
  const optimizers = 'Optimizer:';
  command.addOption(
    new Option(
      '--optimizer <name>',
      'optimizer by the rule of Keras, and but for adadelta with its defaults (default: adadelta, scaled to the batch size)',
    )
      .choices(OPTIMIZER_NAMES)
      .helpGroup(optimizers),
  );
  for (const spec of OPTIMIZER_SPECS) command.addOption(createOption(spec, optimizers));
  const schedules = 'Learning rate schedule:';
  command.addOption(
    new Option(
      '--schedule <name>',
      'change of the learning rate, by the formulas of Keras (default: constant)',
    )
      .choices(SCHEDULE_CHOICES)
      .helpGroup(schedules),
  );
  for (const spec of SCHEDULE_SPECS) command.addOption(createOption(spec, schedules));
  return command;
}

/**
 * The optimizer that parsed flags ask for; undefined for the default one. With --model but without --optimizer, flags change the
 * optimizer that the model was compiled with, if there is one.
 * @throws Error with a sentence if a flag does not belong to the optimizer or schedule
 */
export function readOptimizerFlags(
  flags: Readonly<Record<string, unknown>>,
): OptimizerOptions | OptimizerChanges | undefined {
  if (!OPTIMIZER_FLAG_KEYS.some((key) => flags[key] !== undefined)) return undefined;
  // A model's file and a run that is resumed may have another one.
  const isKnown = flags.optimizer !== undefined || (flags.model === undefined && flags.resume === undefined);
  const { ema, emaOverwrite, ...own } = pickFlags(OPTIMIZER_SPECS, flags);
  if (emaOverwrite !== undefined && ema === undefined)
    throw new Error('--ema-overwrite needs --ema, whose average takes the place of the weights.');
  const average =
    ema === undefined
      ? {}
      : {
          ema: {
            ...(ema === true ? {} : { momentum: ema }),
            ...(emaOverwrite === undefined ? {} : { overwriteSteps: emaOverwrite }),
          },
        };
  const schedule = readSchedule(flags, isKnown);
  const options = { ...own, ...(schedule === undefined ? {} : { schedule }), ...average };
  if (!isKnown) return options as OptimizerChanges;
  const name = (flags.optimizer ?? 'adadelta') as OptimizerName;
  const keys = optimizerKeys(name);
  for (const spec of OPTIMIZER_SPECS) {
    const key = keyOf(spec);
    if (own[key] === undefined || keys.includes(key)) continue;
    const users = OPTIMIZER_NAMES.filter((each) => optimizerKeys(each).includes(key));
    throw new Error(
      `${longFlag(spec)} is no option of the optimizer ${name}. It belongs to ${users.join(', ')}.`,
    );
  }
  return { ...options, name } as OptimizerOptions;
}

/** @param isComplete whether the schedule cannot be that of the model's file */
function readSchedule(flags: Readonly<Record<string, unknown>>, isComplete: boolean): object | undefined {
  const own = pickFlags(SCHEDULE_SPECS, flags);
  if (flags.schedule === undefined && !isComplete) return Object.keys(own).length === 0 ? undefined : own;
  const name = camel((flags.schedule as string | undefined) ?? 'constant') as ScheduleOptions['name'];
  const keys = scheduleKeys(name);
  for (const spec of SCHEDULE_SPECS) {
    const key = keyOf(spec);
    if (own[key] === undefined || keys.includes(key)) continue;
    const users = SCHEDULE_NAMES.filter((each) => scheduleKeys(each).includes(key)).map(kebabCase);
    throw new Error(
      flags.schedule === undefined
        ? `${longFlag(spec)} needs --schedule ${users.join(' or ')}.`
        : `${longFlag(spec)} is no option of the schedule ${kebabCase(name)}. It belongs to ${users.join(', ')}.`,
    );
  }
  if (name === 'piecewise' && (own.boundaries === undefined || own.rates === undefined))
    throw new Error(
      '--schedule piecewise needs --boundaries and --rates, such as 1000,2000 and 0.1,0.01,0.001.',
    );
  return flags.schedule === undefined ? undefined : { ...own, name };
}

/** Values of the specs' flags that were given. */
function pickFlags(
  specs: readonly Spec[],
  flags: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const keys = specs.map(keyOf);
  return Object.fromEntries(
    Object.entries(flags).filter(([key, value]) => keys.includes(key) && value !== undefined),
  );
}

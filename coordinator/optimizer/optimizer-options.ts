import * as v from 'valibot';
import { isRecord } from '../../shared/model/keras-layer.ts';
import { improvementSign } from '../../shared/model/metric-direction.ts';
import { keyName, type OptionName } from '../../shared/util/option-names.ts';
import { optimizerSchema, type OptimizerSettings } from '../../shared/model/optimizer-settings.ts';
import type { ScheduleOptions } from './common-options.ts';
import {
  DEFAULTS,
  OPTIMIZER_NAMES,
  optimizerKeys,
  SCHEDULE_DEFAULTS,
  SCHEDULE_NAMES,
  scheduleKeys,
  type OptimizerOptions,
} from './hyperparameters.ts';
import type { MuonOptions } from './muon.ts';
import { didYouMean } from '../../shared/util/suggest.ts';

/** The job that an optimizer is chosen for. */
export interface OptimizerContext {
  /** Names of the layout's tensors; null as long as the model is not built, when parts of names are not looked up. */
  readonly names: readonly string[] | null;
  /** Steps of the run. */
  readonly steps: number;
  /** Adadelta's hyperparameters, scaled to the batch size. */
  readonly adadelta: OptimizerSettings;
  /** Names of options in errors. @default their keys */
  readonly optionName?: OptionName | undefined;
}

/**
 * Completes the options of an optimizer to the settings of a job: with defaults, with the tensors that parts of names stand for,
 * and with the steps of the run.
 * @throws Error with a sentence that names the option, also if it would have no effect
 */
export function resolveOptimizer(options: OptimizerOptions, context: OptimizerContext): OptimizerSettings {
  const { optionName = keyName } = context;
  rejectWrongTypes(options, optionName);
  const { name } = options;
  rejectUnknownKeys(`The optimizer ${name}`, options, optimizerKeys(name), optionName);
  const { learningRate, schedule, weightDecay, noDecay, ema, ...others } = options;
  const { exclude = ['embedding'], ...own } = others as Partial<MuonOptions>;
  const clips = (['clipNorm', 'globalClipNorm', 'clipValue'] as const).filter(
    (key) => own[key] !== undefined,
  );
  if (clips.length > 1) {
    throw new Error(
      `An optimizer has one of ${optionName('clipNorm')}, ${optionName('globalClipNorm')} and ${optionName('clipValue')}, not two of them.`,
    );
  }
  const defaults = name === 'adadelta' ? context.adadelta : DEFAULTS[name];
  if (schedule?.name === 'piecewise' && learningRate !== undefined) {
    throw new Error(
      `The schedule piecewise has its own rates, ${optionName('schedule.rates')}. Leave out ${optionName('learningRate')}.`,
    );
  }
  if (ema !== undefined)
    rejectUnknownKeys('The moving average', ema, ['momentum', 'overwriteSteps'], optionName);
  const rate = schedule?.name === 'piecewise' ? [schedule.rates].flat().find(Number.isFinite) : learningRate;
  const complete = withoutUndefined({
    ...defaults,
    ...withoutUndefined(own),
    ...(rate === undefined ? {} : { learningRate: rate }),
    ...(weightDecay === undefined ? {} : { weightDecay: weightDecay ?? (name === 'adamw' ? 0 : undefined) }),
    ...(own.adamWeightDecay === null ? { adamWeightDecay: undefined } : {}),
    ...(name === 'muon' ? { adamTensors: tensorsNamed(exclude, context.names, null) } : {}),
    schedule: schedule === undefined ? undefined : resolveSchedule(schedule, context.steps, optionName),
    noDecay: noDecay === undefined ? undefined : tensorsNamed(noDecay, context.names, optionName('noDecay')),
    ema: ema === undefined ? undefined : withoutUndefined({ momentum: 0.99, ...ema }),
    name,
  });
  const { success, output, issues } = v.safeParse(optimizerSchema, complete);
  if (!success) {
    const [issue] = issues;
    const problem = issue.message.replace(/^Invalid (\w+): /, '');
    throw new Error(
      `The optimizer ${name} has a wrong ${optionName(v.getDotPath(issue) ?? 'setting')}: ${problem}.`,
    );
  }
  rejectIgnored(options, output, optionName);
  rejectUnknownDirection(output, optionName);
  return output;
}

/** @throws Error if an option is not of the type that the other checks expect */
function rejectWrongTypes(options: unknown, optionName: OptionName): void {
  const expect = (isRight: boolean, key: string, value: unknown, expected: string): void => {
    if (isRight) return;
    throw new Error(`${optionName(key)} takes ${expected}, not ${JSON.stringify(value)}.`);
  };
  const isWords = (value: unknown): boolean =>
    Array.isArray(value) && value.every((word) => typeof word === 'string');
  expect(isRecord(options), 'optimizer', options, "an object such as { name: 'adam' }");
  const { name, schedule, ema, noDecay, exclude } = options as Record<string, unknown>;
  if (!(OPTIMIZER_NAMES as readonly unknown[]).includes(name)) {
    throw new Error(
      `There is no optimizer ${String(name)}.${didYouMean(String(name), OPTIMIZER_NAMES)} Use one of ${OPTIMIZER_NAMES.join(', ')}.`,
    );
  }
  if (schedule !== undefined)
    expect(isRecord(schedule), 'schedule', schedule, "an object such as { name: 'cosine' }");
  if (ema !== undefined) expect(isRecord(ema), 'ema', ema, 'an object such as { momentum: 0.99 }');
  for (const [key, words] of Object.entries({ noDecay, exclude })) {
    if (words !== undefined) expect(isWords(words), key, words, "parts of names such as ['bias']");
  }
}

/** @throws Error if an option has no effect without another one */
function rejectIgnored(
  { schedule, noDecay }: OptimizerOptions,
  settings: OptimizerSettings,
  optionName: OptionName,
): void {
  const reject = (key: string, needed: string, reason: string): never => {
    throw new Error(`${optionName(key)} needs ${optionName(needed)}: ${reason}.`);
  };
  const adamDecay = 'adamWeightDecay' in settings ? settings.adamWeightDecay : undefined;
  if (noDecay !== undefined && (settings.weightDecay ?? 0) === 0 && (adamDecay ?? 0) === 0)
    reject('noDecay', 'weightDecay', 'no tensor has weight decay otherwise');
  if (settings.name === 'sgd' && settings.nesterov && settings.momentum === 0)
    reject('nesterov', 'momentum', 'there is no momentum to look ahead with otherwise');
  const given = (schedule ?? {}) as Readonly<Record<string, unknown>>;
  const warmupSteps = given.warmupSteps ?? 0;
  if (given.warmupFrom !== undefined && warmupSteps === 0)
    reject('schedule.warmupFrom', 'schedule.warmupSteps', 'there is no warm-up otherwise');
  if (given.decaySteps !== undefined) return;
  for (const key of ['staircase', 'cycle', 'periodFactor', 'rateFactor']) {
    if (given[key] === undefined || given[key] === false) continue;
    reject(`schedule.${key}`, 'schedule.decaySteps', 'the decay takes the whole run otherwise');
  }
}

/** @throws Error if nothing tells whether a larger score is better */
function rejectUnknownDirection({ schedule }: OptimizerSettings, optionName: OptionName): void {
  if (schedule?.name !== 'plateau') return;
  const { monitor, mode = 'auto' } = schedule;
  if (improvementSign(monitor, mode) !== null) return;
  throw new Error(
    `The plateau schedule cannot tell whether a larger ${monitor} is better. Set ${optionName('schedule.mode')} to max or min.`,
  );
}

function resolveSchedule(
  schedule: ScheduleOptions,
  steps: number,
  optionName: OptionName,
): object | undefined {
  const { name } = schedule;
  if (!SCHEDULE_NAMES.includes(name)) {
    throw new Error(
      `There is no schedule ${name}.${didYouMean(name, SCHEDULE_NAMES)} Use one of ${SCHEDULE_NAMES.join(', ')}.`,
    );
  }
  rejectUnknownKeys(`The schedule ${name}`, schedule, scheduleKeys(name), optionName);
  if (name === 'constant') return undefined;
  const defaults = SCHEDULE_DEFAULTS[name];
  const warmupSteps = name === 'cosine' ? (schedule.warmupSteps ?? 0) : 0;
  const decaySteps = 'decaySteps' in defaults ? { decaySteps: Math.max(1, steps - warmupSteps) } : {};
  return withoutUndefined({ ...defaults, ...decaySteps, ...withoutUndefined(schedule) });
}

/** @param option option to name in an error; null if a part without a tensor is no error */
function tensorsNamed(
  parts: readonly string[],
  names: readonly string[] | null,
  option: string | null,
): number[] {
  if (names === null) return [];
  for (const part of parts) {
    if (option === null || names.some((name) => name.includes(part))) continue;
    throw new Error(
      `No tensor of the model has ${part} in its name, as ${option} says. The tensors are ${names.join(', ')}.`,
    );
  }
  return names.flatMap((name, tensor) => (parts.some((part) => name.includes(part)) ? [tensor] : []));
}

function rejectUnknownKeys(
  subject: string,
  options: object,
  keys: readonly string[],
  optionName: OptionName,
): void {
  const unknown = Object.keys(options).find((key) => key !== 'name' && !keys.includes(key));
  if (unknown === undefined) return;
  const names = keys.map((key) => optionName(key));
  const has = keys.length === 0 ? 'It has no options' : `It has ${names.join(', ')}`;
  throw new Error(
    `${subject} has no option ${optionName(unknown)}.${didYouMean(optionName(unknown), names)} ${has}.`,
  );
}

const withoutUndefined = <T extends object>(values: T): T =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;

import * as v from 'valibot';
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

/** The job that an optimizer is chosen for. */
export interface OptimizerContext {
  /** Names of the layout's tensors. */
  readonly names: readonly string[];
  /** Steps of the run. */
  readonly steps: number;
  /** Adadelta's hyperparameters, scaled to the batch size. */
  readonly adadelta: OptimizerSettings;
}

/**
 * Completes the options of an optimizer to the settings of a job: with defaults, with the tensors that parts of names stand for,
 * and with the steps of the run.
 * @throws Error with a sentence that names the option
 */
export function resolveOptimizer(options: OptimizerOptions, context: OptimizerContext): OptimizerSettings {
  const { name } = options;
  if (!OPTIMIZER_NAMES.includes(name)) {
    throw new Error(`There is no optimizer ${name}. Use one of ${OPTIMIZER_NAMES.join(', ')}.`);
  }
  rejectUnknownKeys(`The optimizer ${name}`, options, optimizerKeys(name));
  const { learningRate, schedule, weightDecay, noDecay, ema, ...others } = options;
  const { exclude = ['embedding'], ...own } = others as Partial<MuonOptions>;
  const clips = [own.clipNorm, own.globalClipNorm, own.clipValue].filter((clip) => clip !== undefined);
  if (clips.length > 1)
    throw new Error('An optimizer has one of clipNorm, globalClipNorm and clipValue, not two of them.');
  const defaults = name === 'adadelta' ? context.adadelta : DEFAULTS[name];
  if (schedule?.name === 'piecewise' && learningRate !== undefined)
    throw new Error('The schedule piecewise has its own rates. Leave out the learning rate.');
  if (ema !== undefined) rejectUnknownKeys('The moving average', ema, ['momentum', 'overwriteSteps']);
  const rate = schedule?.name === 'piecewise' ? [schedule.rates].flat()[0] : learningRate;
  const complete = withoutUndefined({
    ...defaults,
    ...withoutUndefined(own),
    ...(rate === undefined ? {} : { learningRate: rate }),
    ...(weightDecay === undefined ? {} : { weightDecay: weightDecay ?? (name === 'adamw' ? 0 : undefined) }),
    ...(own.adamWeightDecay === null ? { adamWeightDecay: undefined } : {}),
    ...(name === 'muon' ? { adamTensors: tensorsNamed(exclude, context.names, null) } : {}),
    schedule: schedule === undefined ? undefined : resolveSchedule(schedule, context.steps),
    noDecay: noDecay === undefined ? undefined : tensorsNamed(noDecay, context.names, 'noDecay'),
    ema: ema === undefined ? undefined : withoutUndefined({ momentum: 0.99, ...ema }),
    name,
  });
  const { success, output, issues } = v.safeParse(optimizerSchema, complete);
  if (success) return output;
  const [issue] = issues;
  throw new Error(
    `The optimizer ${name} has a wrong ${v.getDotPath(issue) ?? 'setting'}: ${issue.message.replace(/^Invalid (\w+): /, '')}.`,
  );
}

function resolveSchedule(schedule: ScheduleOptions, steps: number): object | undefined {
  const { name } = schedule;
  if (!SCHEDULE_NAMES.includes(name)) {
    throw new Error(`There is no schedule ${name}. Use one of ${SCHEDULE_NAMES.join(', ')}.`);
  }
  rejectUnknownKeys(`The schedule ${name}`, schedule, scheduleKeys(name));
  if (name === 'constant') return undefined;
  const defaults = SCHEDULE_DEFAULTS[name];
  const warmupSteps = name === 'cosine' ? (schedule.warmupSteps ?? 0) : 0;
  const decaySteps = 'decaySteps' in defaults ? { decaySteps: Math.max(1, steps - warmupSteps) } : {};
  return { ...defaults, ...decaySteps, ...withoutUndefined(schedule) };
}

/** @param option option to name in an error; null if a part without a tensor is no error */
function tensorsNamed(parts: readonly string[], names: readonly string[], option: string | null): number[] {
  for (const part of parts) {
    if (option === null || names.some((name) => name.includes(part))) continue;
    throw new Error(
      `No tensor of the model has ${part} in its name, as ${option} says. The tensors are ${names.join(', ')}.`,
    );
  }
  return names.flatMap((name, tensor) => (parts.some((part) => name.includes(part)) ? [tensor] : []));
}

function rejectUnknownKeys(subject: string, options: object, keys: readonly string[]): void {
  const unknown = Object.keys(options).find((key) => key !== 'name' && !keys.includes(key));
  if (unknown === undefined) return;
  const has = keys.length === 0 ? 'It has no options' : `It has ${keys.join(', ')}`;
  throw new Error(`${subject} has no option ${unknown}. ${has}.`);
}

const withoutUndefined = <T extends object>(values: T): T =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;

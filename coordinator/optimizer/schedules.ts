import type { OptimizerSettings, ScheduleSettings } from '../../shared/model/optimizer-settings.ts';
import { f32, power } from './update-rule.ts';

/** Schedules that are functions of the step. */
type StepSchedule = Exclude<ScheduleSettings, { readonly name: 'plateau' }>;

/**
 * Learning rate of each step, in float32, by the formulas of Keras (keras 3 optimizers/schedules): every operation is rounded to
 * float32. After Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts" (arXiv:1608.03983), for cosines.
 * @returns null for a constant rate, and for `plateau`, which is no function of the step
 */
export function createSchedule({
  learningRate,
  schedule,
}: Pick<OptimizerSettings, 'learningRate' | 'schedule'>): ((step: number) => number) | null {
  if (schedule === undefined || schedule.name === 'plateau') return null;
  const rate = f32(learningRate);
  return (step) => rateAt(schedule, rate, f32(step));
}

function rateAt(schedule: StepSchedule, rate: number, step: number): number {
  switch (schedule.name) {
    case 'cosine':
      return cosine(schedule, rate, step);
    case 'cosineRestarts':
      return cosineRestarts(schedule, rate, step);
    case 'exponential':
      return f32(rate * power(schedule.decayRate, decayed(schedule, step)));
    case 'inverseTime':
      return f32(rate / f32(1 + f32(f32(schedule.decayRate) * decayed(schedule, step))));
    case 'piecewise': {
      const range = schedule.boundaries.findIndex((boundary) => step <= boundary);
      return f32(schedule.rates.at(range) as number);
    }
    case 'polynomial':
      return polynomial(schedule, rate, step);
  }
}

type Named<Name extends StepSchedule['name']> = Extract<StepSchedule, { readonly name: Name }>;

/** Steps as a part of the decay's. */
function decayed(
  { decaySteps, staircase }: { readonly decaySteps: number; readonly staircase: boolean },
  step: number,
): number {
  const part = f32(step / f32(decaySteps));
  return staircase ? Math.floor(part) : part;
}

/** (1 + cos(pi part)) / 2 */
const halfCosine = (part: number, height = 1): number =>
  f32(f32(0.5 * height) * f32(1 + f32(Math.cos(f32(f32(Math.PI) * part)))));

function cosine(
  { decaySteps, alpha, warmupSteps, warmupFrom }: Named<'cosine'>,
  rate: number,
  step: number,
): number {
  const warmup = f32(warmupSteps);
  const at = Math.min(step, f32(f32(decaySteps) + warmup));
  if (at < warmup) {
    const start = f32(warmupFrom);
    return f32(f32(f32(rate - start) * f32(at / warmup)) + start);
  }
  const height = halfCosine(f32(f32(at - warmup) / f32(decaySteps)));
  return f32(rate * f32(f32(f32(1 - alpha) * height) + f32(alpha)));
}

function cosineRestarts(
  { decaySteps, periodFactor, rateFactor, alpha }: Named<'cosineRestarts'>,
  rate: number,
  step: number,
): number {
  const factor = f32(periodFactor);
  let part = f32(step / f32(decaySteps));
  let period: number;
  if (factor === 1) {
    period = Math.floor(part);
    part = f32(part - period);
  } else {
    const growth = f32(1 - f32(part * f32(1 - factor)));
    period = Math.floor(f32(f32(Math.log(growth)) / f32(Math.log(factor))));
    const before = f32(f32(1 - power(factor, period)) / f32(1 - factor));
    part = f32(f32(part - before) / power(factor, period));
  }
  const height = halfCosine(part, power(rateFactor, period));
  return f32(rate * f32(f32(f32(1 - f32(alpha)) * height) + f32(alpha)));
}

function polynomial(
  { decaySteps, endLearningRate, power: exponent, cycle }: Named<'polynomial'>,
  rate: number,
  step: number,
): number {
  const end = f32(endLearningRate);
  let steps = f32(decaySteps);
  if (cycle) steps = f32(steps * (step === 0 ? 1 : Math.ceil(f32(step / steps))));
  const part = f32((cycle ? step : Math.min(step, steps)) / steps);
  return f32(f32(f32(rate - end) * power(f32(1 - part), exponent)) + end);
}

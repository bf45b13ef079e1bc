import { scaleOptimizer } from '../../../coordinator/model/model.ts';
import { optimizerFromKeras } from '../../../coordinator/optimizer/keras-config.ts';
import { resolveOptimizer } from '../../../coordinator/optimizer/optimizer-options.ts';
import { createSchedule } from '../../../coordinator/optimizer/schedules.ts';
import { kerasLosses } from '../keras-losses.ts';
import {
  createFor,
  decode,
  gradientOf,
  kerasOptimizers,
  layoutFor,
  type OptimizerCase,
} from '../keras-optimizers.ts';
import { lossOf, metricOf } from '../score-case.ts';
import { initializerCases } from './initializer-cases.ts';
import { className } from './keras-names.ts';

/** Case that no engine computes: a value in double precision, an optimizer, a schedule or initial weights. */
export interface CoordinatorCase {
  readonly name: string;
  /** Names of Keras whose computation it checks. */
  readonly covers: readonly string[];
  /** Largest difference that is allowed. */
  readonly bound: number;
  /** Computes the case. @returns the relative difference from Keras, 0 for the same bits */
  measure(): number | Promise<number>;
}

/** Largest relative difference of a value or weight. */
const BOUND = 1e-6;

const PENALTIES: Readonly<Record<string, string>> = { L1: 'l1', L2: 'l2' };
const CONSTRAINTS: Readonly<Record<string, string>> = {
  maxNorm: 'MaxNorm',
  minMaxNorm: 'MinMaxNorm',
  nonNegative: 'NonNeg',
  unitNorm: 'UnitNorm',
};

const relative = (value: number, expected: number): number =>
  Math.abs(value - expected) / Math.max(1, Math.abs(expected));

/** Regularizers and constraints of a case's tensors. */
function rulesOf({ tensorRules = [] }: OptimizerCase): string[] {
  return tensorRules.flatMap(({ penalty, orthogonal, constraint }) => {
    const factors: Readonly<Record<string, unknown>> = { ...penalty };
    const used = Object.entries(PENALTIES).filter(([, key]) => Number(factors[key] ?? 0) > 0);
    const regularizer = used.length > 1 ? 'L1L2' : used[0]?.[0];
    const applied = constraint === undefined ? undefined : CONSTRAINTS[constraint.name];
    return [
      ...(regularizer === undefined ? [] : [`regularizers.${regularizer}`]),
      ...(orthogonal === undefined ? [] : ['regularizers.OrthogonalRegularizer']),
      ...(applied === undefined ? [] : [`constraints.${applied}`]),
    ];
  });
}

/** Largest difference of a weight within ten steps, relative to the largest magnitude that it has had. */
function optimizerDifference(each: OptimizerCase): number {
  const optimizer = createFor(each);
  const largest = optimizer.weights.map(Math.abs);
  let worst = 0;
  const compare = (actual: Float32Array, base64: string): void =>
    decode(base64).forEach((value, i) => {
      largest[i] = Math.max(largest[i] ?? 0, Math.abs(value));
      const difference = Math.abs((actual[i] ?? NaN) - value);
      worst = Math.max(worst, difference === 0 ? 0 : difference / largest[i]);
    });
  each.weights.forEach((expected, step) => {
    const penalty = each.penalties?.[step] ?? 0;
    if (penalty !== 0) worst = Math.max(worst, Math.abs(optimizer.penalty() / penalty - 1));
    optimizer.gradientSum.set(gradientOf(step, layoutFor(each)));
    optimizer.apply({ step, samples: 1 });
    compare(optimizer.weights, expected);
  });
  if (each.final !== undefined) compare(optimizer.averagedWeights, each.final);
  return worst;
}

const classOf = (serialized: unknown): string => (serialized as { readonly class_name: string }).class_name;

function scheduleDifference({ schedule, rates }: (typeof kerasOptimizers)['schedules'][number]): number {
  const options = optimizerFromKeras({ class_name: 'SGD', config: { learning_rate: schedule } });
  const settings = resolveOptimizer(options, { names: [], steps: 100, adadelta: scaleOptimizer(128) });
  const rateAt = createSchedule(settings);
  const differences = [...decode(rates)].map((expected, i) => {
    const rate = rateAt?.(kerasOptimizers.scheduleSteps[i] ?? 0) ?? NaN;
    return rate === expected ? 0 : Math.abs(rate - expected) / Math.abs(expected);
  });
  return Math.max(...differences);
}

/** All cases that no engine computes. */
export function listCoordinatorCases(): CoordinatorCase[] {
  const { losses, metrics } = kerasLosses();
  const text = (spec: object): string => JSON.stringify(spec);
  return [
    ...losses.map((each) => ({
      name: text(each.loss),
      covers: [className('losses', each.loss.name)],
      bound: BOUND,
      measure: () =>
        Math.max(relative(lossOf(each, false), each.value), relative(lossOf(each, true), each.weighted)),
    })),
    ...metrics.map((each) => ({
      name: text(each.metric),
      covers: [className('metrics', each.metric.name)],
      bound: BOUND,
      measure: () =>
        Math.max(relative(metricOf(each, false), each.value), relative(metricOf(each, true), each.weighted)),
    })),
    ...kerasOptimizers.cases.map((each) => ({
      name: each.name,
      covers: [`optimizers.${classOf(each.optimizer)}`, ...rulesOf(each)],
      bound: BOUND,
      measure: () => optimizerDifference(each),
    })),
    ...kerasOptimizers.schedules.map((each) => ({
      name: each.name,
      covers: [`optimizers.schedules.${classOf(each.schedule)}`],
      bound: BOUND,
      measure: () => scheduleDifference(each),
    })),
    ...initializerCases(),
  ];
}

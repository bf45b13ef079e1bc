import type { Job } from '../../shared/model/job.ts';
import { canonicalName } from '../../shared/model/losses.ts';
import { flagName } from '../../shared/util/option-names.ts';
import type { ClassWeights } from '../data/class-weights.ts';
import { scaleOptimizer } from '../model/model.ts';
import type { OptimizerChanges, OptimizerOptions } from '../optimizer/hyperparameters.ts';
import { resolveOptimizer } from '../optimizer/optimizer-options.ts';
import { stepsPerEpoch } from '../training/sampler.ts';

/** Options of a resumed run that can only repeat those of the run. */
export interface RepeatedFlags {
  readonly optimizer?: OptimizerOptions | OptimizerChanges | undefined;
  readonly loss?: string;
  readonly metrics?: readonly string[];
  readonly classWeights?: ClassWeights;
}

/** The run that is resumed. */
export interface ResumedRun {
  /** Job of its checkpoint. */
  readonly job: Job;
  readonly classWeights: ClassWeights | undefined;
  /** Names of the layout's tensors. */
  readonly names: readonly string[];
}

/**
 * Checks that options of a resumed run are those that it was started with.
 * @throws Error with a sentence that names each other option, and what the run has
 */
export function checkRepeatedFlags(flags: RepeatedFlags, { job, classWeights, names }: ResumedRun): void {
  const others: string[] = [];
  const compare = (flag: string, given: unknown, own: unknown): void => {
    if (given === undefined || JSON.stringify(given) === JSON.stringify(own)) return;
    others.push(`${flag} ${describe(given)} (the run has ${describe(own)})`);
  };
  const { loss, metrics, optimizer } = flags;
  const losses = job.outputs.map((output) => output.loss.label ?? output.loss.name);
  compare(
    '--loss',
    loss === undefined ? undefined : losses.map((own) => (own === loss ? own : canonicalName(loss))),
    losses,
  );
  const labels = job.outputs.flatMap((output) => output.metrics.map(({ name, label = name }) => label));
  compare('--metrics', metrics, labels);
  compare('--class-weights', flags.classWeights, classWeights);
  if (optimizer !== undefined) {
    const given = resolveOptimizer(optimizer as OptimizerOptions, {
      names,
      steps: job.epochs * stepsPerEpoch(job.data.trainSamples, job.batchSize),
      adadelta: scaleOptimizer(Math.min(job.batchSize, job.data.trainSamples)),
      optionName: flagName,
    });
    compareOptimizers(given, { ...job.optimizer, tensorRules: undefined, earlierSteps: undefined }, compare);
  }
  if (others.length === 0) return;
  throw new Error(
    `A resumed run keeps its optimizer, loss, metrics and class weights. Leave out ${others.join(', ')}.`,
  );
}

function compareOptimizers(
  given: object,
  own: object,
  compare: (flag: string, given: unknown, own: unknown) => void,
): void {
  const [left, right] = [flatten(given), flatten(own)];
  if (left.name !== right.name) {
    compare('--optimizer', left.name, right.name);
    return;
  }
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)]))
    compare(flagName(key), left[key] ?? null, right[key] ?? null);
}

/** Settings of an optimizer, with those of its schedule and average as schedule.alpha and ema.momentum. */
function flatten(settings: object, prefix = ''): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(settings).flatMap(([key, value]: [string, unknown]) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.entries(flatten(value, `${prefix}${key}.`))
        : [[`${prefix}${key}`, value]],
    ),
  );
}

const describe = (value: unknown): string => {
  if (value === null || value === undefined) return 'none';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(',');
  if (typeof value !== 'object') return JSON.stringify(value).replaceAll('"', '');
  return Object.entries(value)
    .map(([key, own]) => `${key}:${String(own)}`)
    .join(',');
};

import type { Job } from '../../shared/model/job.ts';
import { canonicalName } from '../../shared/model/losses.ts';
import { keyName, type OptionName } from '../../shared/util/option-names.ts';
import type { ClassWeights } from '../data/class-weights.ts';
import { scaleOptimizer } from '../model/model.ts';
import type { OutputSettings } from '../model/output-settings.ts';
import type { OptimizerChanges, OptimizerOptions } from '../optimizer/hyperparameters.ts';
import { resolveOptimizer } from '../optimizer/optimizer-options.ts';
import { stepsPerEpoch } from '../training/sampler.ts';

/** Options of a resumed run that can only repeat those of the run. */
export interface RepeatedFlags {
  readonly batchSize?: number | undefined;
  readonly seed?: number | undefined;
  readonly exact?: boolean | undefined;
  /** File of initial weights, which a resumed run cannot have. */
  readonly weights?: string | undefined;
  readonly optimizer?: OptimizerOptions | OptimizerChanges | undefined;
  readonly loss?: OutputSettings['loss'];
  readonly metrics?: OutputSettings['metrics'];
  readonly lossWeights?: OutputSettings['lossWeights'];
  readonly classWeights?: ClassWeights | undefined;
  /** Names of options in errors. @default their keys */
  readonly optionName?: OptionName | undefined;
}

/** The run that is resumed. */
export interface ResumedRun {
  /** Job of its checkpoint. */
  readonly job: Job;
  readonly classWeights: ClassWeights | undefined;
  /** Names of the layout's tensors. */
  readonly names: readonly string[];
  /** Layout of the model that is given; of the run's if there is none. */
  readonly layout: Job['layout'];
}

/**
 * Checks that options of a resumed run are those that it was started with.
 * @throws Error with a sentence that names each other option, and what the run has
 */
export function checkRepeatedFlags(
  flags: RepeatedFlags,
  { job, classWeights, names, layout }: ResumedRun,
): void {
  const others: string[] = [];
  const compare = (flag: string, given: unknown, own: unknown): void => {
    if (given === undefined || JSON.stringify(given) === JSON.stringify(own)) return;
    others.push(`${flag} ${describe(given)} (the run has ${describe(own)})`);
  };
  const { loss, metrics, lossWeights, optimizer, optionName = keyName } = flags;
  const outputNames = job.outputs.map(({ name }) => name);
  const losses = job.outputs.map((output) => output.loss.label ?? output.loss.name);
  compare(optionName('batchSize'), flags.batchSize, job.batchSize);
  compare(optionName('seed'), flags.seed, job.seed);
  compare(optionName('exact'), flags.exact, job.microShard !== undefined);
  compare(optionName('weights'), flags.weights, undefined);
  if (JSON.stringify(layout) !== JSON.stringify(job.layout))
    others.push(`${optionName('model')} (the run has other weights)`);
  const isSingle = typeof loss === 'string' || (typeof loss === 'object' && 'name' in loss);
  const givenLosses = isSingle ? losses.map(() => loss) : entriesOf(loss, outputNames);
  // The name of a custom loss is as its author has written it.
  const lossName = (given: unknown, i: number): unknown =>
    typeof given === 'string' && given !== losses[i] ? canonicalName(given) : nameOf(given);
  compare(optionName('loss'), givenLosses?.map(lossName), losses);
  const labels = job.outputs.flatMap((output) => output.metrics.map(({ name, label = name }) => label));
  compare(optionName('metrics'), entriesOf(metrics, outputNames)?.flat().map(nameOf), labels);
  const weights = job.outputs.map(({ weight = 1 }) => weight);
  compare(optionName('lossWeights'), entriesOf(lossWeights, outputNames), weights);
  compare(optionName('classWeights'), flags.classWeights, classWeights);
  const own = { ...job.optimizer, tensorRules: undefined, earlierSteps: undefined };
  if (optimizer !== undefined && !('name' in optimizer)) {
    const values = flatten(own);
    for (const [key, value] of Object.entries(flatten(optimizer)))
      compare(optionName(key), value, values[key] ?? null);
  } else if (optimizer !== undefined) {
    const given = resolveOptimizer(optimizer as OptimizerOptions, {
      names,
      steps: job.epochs * stepsPerEpoch(job.data.trainSamples, job.batchSize),
      adadelta: scaleOptimizer(Math.min(job.batchSize, job.data.trainSamples)),
      optionName,
    });
    compareOptimizers(given, own, (key, ...values) => compare(optionName(key), ...values));
  }
  if (others.length === 0) return;
  throw new Error(
    `A resumed run keeps its optimizer, loss, metrics and class weights. Leave out ${others.join(', ')}.`,
  );
}

function compareOptimizers(
  given: object,
  own: object,
  compare: (key: string, given: unknown, own: unknown) => void,
): void {
  const [left, right] = [flatten(given), flatten(own)];
  if (left.name !== right.name) {
    compare('name', left.name, right.name);
    return;
  }
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)]))
    compare(key, left[key] ?? null, right[key] ?? null);
}

/** Settings of the outputs in their order: of a list, or by the names of the outputs. */
const entriesOf = (
  settings: object | string | undefined,
  names: readonly string[],
): unknown[] | undefined => {
  if (settings === undefined || typeof settings === 'string') return undefined;
  return Array.isArray(settings)
    ? (settings as unknown[])
    : names.map((name) => (settings as Record<string, unknown>)[name]);
};

/** Name of a loss or metric that may have options. */
const nameOf = (given: unknown): unknown => {
  if (typeof given !== 'object' || given === null) return given;
  const { name, label = name } = given as { readonly name?: string; readonly label?: string };
  return label;
};

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

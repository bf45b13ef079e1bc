import { DataError } from '../../shared/data/data-error.ts';
import { isLazy, type Dataset, type Split, type StoredSplit } from '../../shared/data/dataset.ts';
import type { Shard } from '../../shared/data/shard.ts';
import type { Job } from '../../shared/model/job.ts';
import { lossDefinition } from '../../shared/model/losses.ts';
import { METRICS } from '../../shared/model/metrics.ts';
import { isOneHot, type OutputSpec } from '../../shared/model/outputs.ts';
import { sampleSize, type TensorSpec, type TensorValues } from '../../shared/model/tensors.ts';

/**
 * Checks classes, targets and weights of all samples. A worker can only refuse the shard with a wrong one, and a coordinator
 * only the answer.
 * @returns the data set; samples that are read when they are needed are checked then
 * @throws DataError that names tensor, value and sample
 */
export function checkData(job: Job, dataset: Dataset): Dataset {
  const check = (split: Split, where: string): Split => {
    if (isLazy(split)) {
      const read = async (numbers: Uint32Array): Promise<Shard> => {
        const shard = await split.read(numbers);
        checkSamples(job, { ...shard, count: numbers.length, where, data: dataset.name });
        return shard;
      };
      return { ...split, read };
    }
    checkSamples(job, { ...split, where, data: dataset.name });
    return split;
  };
  return {
    ...dataset,
    train: check(dataset.train, 'Training sample'),
    test: check(dataset.test, 'Test sample'),
  };
}

function checkSamples(job: Job, samples: CheckedSamples): void {
  const { inputs, targets, weights } = samples;
  job.inputs.forEach((spec, i) => {
    if (spec.classes !== undefined) checkValues(samples, spec, inputs[i]);
  });
  job.targets.forEach((spec, i) => {
    checkValues(samples, spec, targets[i]);
    checkRanges(samples, spec, targets[i], job.outputs[i] as OutputSpec);
  });
  if (weights === undefined) return;
  const spec: TensorSpec = { name: 'weight', shape: [], dtype: 'float32' };
  checkValues(samples, spec, weights);
  find(samples, spec, weights, (weight) => weight < 0, 'but weights are 0 or more');
}

interface CheckedSamples extends StoredSplit {
  /** Sample numbers. @default 0, 1, 2 ... */
  readonly sampleNumbers?: Uint32Array;
  readonly where: string;
  readonly data: string;
}

/** Checks that there are as many values as the samples have, that they are finite, and that classes are classes. */
function checkValues(checked: CheckedSamples, spec: TensorSpec, values: TensorValues | undefined): void {
  const { count, where, data } = checked;
  const expected = count * sampleSize(spec);
  if (values?.length !== expected) {
    throw new DataError(
      `${spec.name} of ${data} has ${values?.length ?? 0} values, but ${count} ${where.toLowerCase()}s have ${expected}.`,
    );
  }
  const { classes } = spec;
  if (classes === undefined)
    find(checked, spec, values, (value) => !Number.isFinite(value), 'which is not finite');
  else {
    const isOther = (value: number): boolean => !(value >= 0 && value < classes && Number.isInteger(value));
    find(checked, spec, values, isOther, `but goes from 0 to ${classes - 1}`);
  }
}

/** Checks that a target has values that its loss and metrics are defined for. */
function checkRanges(
  checked: CheckedSamples,
  spec: TensorSpec,
  values: TensorValues | undefined,
  output: OutputSpec,
): void {
  // Classes become one-hot.
  if (isOneHot(output, spec)) return;
  const { loss, metrics } = output;
  const { scale = 1, offset = 0, dtype } = spec;
  const valueOf = (stored: number): number =>
    Math.fround((dtype === 'bool' ? Number(stored !== 0) : stored) * scale + offset);
  const ranges = [
    { name: loss.name, range: lossDefinition(loss.name).targets },
    ...metrics.map(({ name }) => ({ name, range: METRICS[name]?.targets })),
  ];
  for (const { name, range } of ranges) {
    if (range === undefined) continue;
    if (range === 'labels') {
      const isOther = (value: number): boolean => value !== 0 && value !== 1;
      // With other values, Keras takes 0 as 0 in some batches and as -1 in others.
      if (values?.some((value) => valueOf(value) === 0) === true)
        find(
          checked,
          spec,
          values,
          (value) => isOther(valueOf(value)),
          `but ${name} takes 0 and 1, or -1 and 1`,
        );
      continue;
    }
    const [min, max] = range;
    const isOutside = (stored: number): boolean => valueOf(stored) < min || valueOf(stored) > max;
    const limits = max === Infinity ? `${min} or more` : `${min} to ${max}`;
    find(checked, spec, values ?? [], isOutside, `but ${name} takes targets of ${limits}`);
  }
}

/** @throws DataError with the first wrong value */
function find(
  { count, sampleNumbers, where, data }: CheckedSamples,
  { name }: TensorSpec,
  values: ArrayLike<number>,
  isWrong: (value: number) => boolean,
  why: string,
): void {
  for (let i = 0; i < values.length; i++) {
    if (!isWrong(values[i] as number)) continue;
    const sample = Math.floor(i / (values.length / count));
    throw new DataError(
      `${where} ${sampleNumbers?.[sample] ?? sample} of ${data} has ${values[i]} in ${name}, ${why}.`,
    );
  }
}

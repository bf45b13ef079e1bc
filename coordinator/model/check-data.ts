import { DataError } from '../../shared/data/data-error.ts';
import type { Dataset, Split } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';
import { lossDefinition } from '../../shared/model/losses.ts';
import { METRICS } from '../../shared/model/metrics.ts';
import { isOneHot, type OutputSpec } from '../../shared/model/outputs.ts';
import { sampleSize, type TensorSpec, type TensorValues } from '../../shared/model/tensors.ts';

/**
 * Checks classes, targets and weights of all samples. A worker can only refuse the shard with a wrong one, and a coordinator
 * only the answer.
 * @throws DataError that names tensor, value and sample
 */
export function checkData(job: Job, { name, train, test }: Dataset): void {
  for (const [split, kind] of [
    [train, 'Training'],
    [test, 'Test'],
  ] as const) {
    const checked: CheckedSplit = { split, where: `${kind} sample`, data: name };
    job.inputs.forEach((spec, i) => {
      if (spec.classes !== undefined) checkValues(checked, spec, split.inputs[i]);
    });
    job.targets.forEach((spec, i) => {
      checkValues(checked, spec, split.targets[i]);
      checkRanges(checked, spec, split.targets[i], job.outputs[i] as OutputSpec);
    });
    const weights = split.weights ?? null;
    if (weights === null) continue;
    const spec: TensorSpec = { name: 'weight', shape: [], dtype: 'float32' };
    checkValues(checked, spec, weights);
    find(checked, spec, weights, (weight) => weight < 0, 'but weights are 0 or more');
  }
}

interface CheckedSplit {
  readonly split: Split;
  readonly where: string;
  readonly data: string;
}

/** Checks that there are as many values as the samples have, that they are finite, and that classes are classes. */
function checkValues(checked: CheckedSplit, spec: TensorSpec, values: TensorValues | undefined): void {
  const { split, where, data } = checked;
  const expected = split.count * sampleSize(spec);
  if (values?.length !== expected) {
    throw new DataError(
      `${spec.name} of ${data} has ${values?.length ?? 0} values, but ${split.count} ${where.toLowerCase()}s have ${expected}.`,
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
  checked: CheckedSplit,
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
  { split, where, data }: CheckedSplit,
  { name }: TensorSpec,
  values: ArrayLike<number>,
  isWrong: (value: number) => boolean,
  why: string,
): void {
  for (let i = 0; i < values.length; i++) {
    if (!isWrong(values[i] as number)) continue;
    const sample = Math.floor(i / (values.length / split.count));
    throw new DataError(`${where} ${sample} of ${data} has ${values[i]} in ${name}, ${why}.`);
  }
}

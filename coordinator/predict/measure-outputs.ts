import { readSamples, type Split } from '../../shared/data/dataset.ts';
import type { GradientComputer } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import type { TensorValues } from '../../shared/model/tensors.ts';
import { ConfusionMatrix, describeClasses, MAX_MATRIX_CLASSES, type ClassReport } from './class-scores.ts';
import { mostLikely, type OutputReader } from './output-reader.ts';
import { predictBatches } from './predict-batches.ts';
import { describeValues, ValueScores, type ValueReport } from './value-scores.ts';

/** Scores of an output of classes or numbers, beyond loss and metrics. */
export type OutputReport =
  | { readonly name: string; readonly kind: 'classes'; readonly report: ClassReport }
  | { readonly name: string; readonly kind: 'values'; readonly reports: readonly ValueReport[] };

/** Numbers of a target that are measured each by itself. */
const MAX_VALUES = 100;

interface Measure {
  add(sample: number, values: Float32Array, target: TensorValues): void;
  report(): OutputReport | null;
}

/** Whether an output has reports besides loss and metrics. */
export const hasReports = (job: Job, readers: readonly OutputReader[]): boolean =>
  readers.some((reader, i) => createMeasure(job, reader, i) !== null);

/**
 * Compares predictions with the targets of a split: a confusion matrix for each output of classes, errors for each of numbers.
 * @param computer has the model's weights
 */
export async function measureOutputs(
  computer: Pick<GradientComputer, 'predict'>,
  job: Job,
  readers: readonly OutputReader[],
  split: Split,
  { progress, signal }: { readonly progress: (done: number) => void; readonly signal: AbortSignal },
): Promise<OutputReport[]> {
  const measures = readers.map((reader, i) => createMeasure(job, reader, i));
  const targets = new Map<number, readonly TensorValues[]>();
  const read = async (from: number, to: number): Promise<readonly TensorValues[]> => {
    const shard = await readSamples(
      split,
      Uint32Array.from({ length: to - from }, (_, i) => from + i),
    );
    targets.set(from, shard.targets);
    return shard.inputs;
  };
  for await (const { from, samples, outputs } of predictBatches(computer, job, {
    count: split.count,
    read,
  })) {
    signal.throwIfAborted();
    for (const [index, measure] of measures.entries()) {
      const values = outputs[index];
      const expected = targets.get(from)?.[index];
      if (measure === null || values === undefined || expected === undefined) continue;
      const each = expected.length / samples;
      const size = values.length / samples;
      for (let i = 0; i < samples; i++) {
        measure.add(
          from + i,
          values.subarray(i * size, (i + 1) * size),
          expected.subarray(i * each, (i + 1) * each),
        );
      }
    }
    targets.delete(from);
    progress(from + samples);
  }
  return measures.flatMap((measure) => measure?.report() ?? []);
}

/** @returns null for an output of which there is nothing more to say */
function createMeasure(job: Job, reader: OutputReader, index: number): Measure | null {
  const { name, classNames, valueNames, size } = reader;
  const target = job.targets[index];
  const loss = job.outputs[index]?.loss.name ?? '';
  if (classNames !== null) {
    // Scores that are no probabilities have no class.
    if (classNames.length > MAX_MATRIX_CLASSES || classNames.length < 2) return null;
    const matrix = new ConfusionMatrix(classNames);
    let isMissing = false;
    return {
      add(_, values, expected) {
        const { probabilities } = reader.read(values);
        if (probabilities === null) isMissing = true;
        else matrix.add(expected[0] ?? 0, mostLikely(probabilities));
      },
      report: () => (isMissing ? null : { name, kind: 'classes', report: matrix.report() }),
    };
  }
  const areNumbers = target?.classes === undefined && !/crossentropy|hinge|similarity|divergence/.test(loss);
  if (!areNumbers || size > MAX_VALUES) return null;
  const scores = Array.from(
    { length: size },
    (_, i) => new ValueScores(size === 1 ? name : (valueNames?.[i] ?? `${name}_${i}`)),
  );
  const scale = target?.scale ?? 1;
  const offset = target?.offset ?? 0;
  return {
    add(sample, values, expected) {
      for (const [i, score] of scores.entries())
        score.add(sample, (expected[i] ?? 0) * scale + offset, values[i] ?? 0);
    },
    report: () => ({ name, kind: 'values', reports: scores.map((score) => score.report()) }),
  };
}

/** Lines of reports, with the names of the outputs if there are several. */
export const describeReports = (reports: readonly OutputReport[]): string[] =>
  reports.flatMap((report) => {
    const title = reports.length > 1 ? ['', `Output ${report.name}:`] : [];
    return report.kind === 'classes'
      ? [...title, ...describeClasses(report.report)]
      : [...title, ...report.reports.flatMap((each) => describeValues(each))];
  });

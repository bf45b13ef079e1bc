import type { GradientComputer } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import { sampleSize, type TensorValues } from '../../shared/model/tensors.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import type { CoordinatorEngine } from '../integrity/reference-engine.ts';

/** Samples of a forward pass, if they are small. */
const MAX_BATCH = 256;
/** Bytes of inputs and outputs of a batch. */
const MAX_BATCH_BYTES = 2 ** 26;

/** Predictions of some samples. */
export interface PredictedBatch {
  /** Number of the first sample. */
  readonly from: number;
  readonly samples: number;
  /** For each output [samples, ...shape], row-major: class probabilities, or values. */
  readonly outputs: readonly Float32Array[];
}

/** Reader of the inputs of samples `from` up to `to`. */
export type ReadInputs = (
  from: number,
  to: number,
) => readonly TensorValues[] | Promise<readonly TensorValues[]>;

/**
 * Predicts samples batch by batch. The next batch is read while one is computed.
 * @param computer has the model's weights
 * @example
 * ```ts
 * for await (const { from, outputs } of predictBatches(computer, job, { count, read })) console.log(from, outputs);
 * ```
 */
export async function* predictBatches(
  computer: Pick<GradientComputer, 'predict'>,
  job: Pick<Job, 'inputs' | 'outputs'>,
  { count, read }: { readonly count: number; readonly read: ReadInputs },
): AsyncGenerator<PredictedBatch, void, void> {
  const size = batchSize(job);
  const readBatch = async (from: number): Promise<readonly TensorValues[]> =>
    read(from, Math.min(count, from + size));
  let next = readBatch(0);
  for (let from = 0; from < count; from += size) {
    const inputs = await next;
    const samples = Math.min(count, from + size) - from;
    next = from + samples < count ? readBatch(from + samples) : Promise.resolve([]);
    // Its error is thrown when it is awaited.
    next.catch(() => undefined);
    const outputs: Float32Array[] = [];
    for (const index of job.outputs.keys()) outputs.push(await computer.predict(inputs, samples, index));
    yield { from, samples, outputs };
  }
}

function batchSize({ inputs, outputs }: Pick<Job, 'inputs' | 'outputs'>): number {
  const values = [...inputs, ...outputs].reduce((sum, spec) => sum + sampleSize(spec), 0);
  return Math.max(
    1,
    Math.min(MAX_BATCH, Math.floor(MAX_BATCH_BYTES / (Float32Array.BYTES_PER_ELEMENT * values))),
  );
}

/** Opens an engine for some work with a model. @throws Error with a sentence if the model cannot be computed here */
export async function withComputer<Result>(
  { job, weights }: { readonly job: Job; readonly weights: Float32Array },
  openEngine: () => Promise<CoordinatorEngine>,
  work: (computer: GradientComputer) => Promise<Result>,
): Promise<Result> {
  const { engine, close } = await openEngine();
  try {
    const computer = await engine.load(job).catch((error: unknown) => {
      throw new Error(`The model cannot be computed here: ${errorMessage(error)}`, { cause: error });
    });
    computer.setWeights(weights);
    const result = await work(computer);
    computer.dispose();
    return result;
  } finally {
    await close();
  }
}

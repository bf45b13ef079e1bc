import type { Dataset } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { usesBatchNormalization } from '../../shared/model/topology.ts';
import { isLoopback } from '../../shared/util/loopback.ts';
import type { Reporter } from '../report/reporter.ts';
import { tryStep } from './trial-step.ts';

/** Opens an engine of the coordinator itself. */
type OpenEngine = (kind: 'wasm') => Promise<{ readonly engine: Engine; readonly close: () => Promise<void> }>;

/** The parts of a run that are checked before its first step. */
interface CheckedRun {
  readonly job: Job;
  readonly initialWeights: Float32Array;
  readonly dataset: Dataset;
  readonly notes: readonly string[];
}

/** Sample shape of MNIST, on which the default model is known to train. */
const DEFAULT_SAMPLE_SHAPE = '28,28,1';

/**
 * Warns of notes about the model and tries one training step, except with the default model on MNIST's sample shape.
 * @param ownModel whether the model comes from --model
 * @throws Error with a sentence if the model cannot be trained
 */
export async function checkModel(
  { job, initialWeights, dataset, notes }: CheckedRun,
  ownModel: boolean,
  program: { readonly openCoordinatorEngine: OpenEngine },
  report: Reporter,
): Promise<void> {
  for (const note of notes) report.warn(note);
  if (usesBatchNormalization(job.topology) && job.microShard === 1) {
    throw new Error(
      'The model has BatchNormalization, which learns nothing from micro-shards of one sample. Use a larger --micro-shard.',
    );
  }
  if (!ownModel && String(dataset.inputs[0]?.shape) === DEFAULT_SAMPLE_SHAPE) return;
  const own = await program.openCoordinatorEngine('wasm');
  try {
    await tryStep(own.engine, { job, initialWeights }, dataset);
  } finally {
    await own.close();
  }
}

/**
 * Warns of batch normalization in a run that computes a batch in parts: each part is normalized by itself. See
 * docs/decisions/0034-batch-normalization.md.
 */
export function warnOfShardStatistics(
  { topology, microShard }: Job,
  { workers, host }: { readonly workers: number; readonly host: string },
  report: Reporter,
): void {
  if (!usesBatchNormalization(topology)) return;
  if (microShard !== undefined) {
    report.warn(
      `The model has BatchNormalization, and every micro-shard of ${microShard} samples is normalized by itself (per-shard ` +
        'statistics). A larger --micro-shard comes closer to the statistics of the whole batch.',
    );
    return;
  }
  if (workers === 1 && isLoopback(host)) return;
  report.warn(
    "The model has BatchNormalization, and each worker's shard is normalized by itself (per-shard statistics), so the result " +
      'depends on the number of workers. LayerNormalization, frozen layers or train --workers 1 avoid it.',
  );
}

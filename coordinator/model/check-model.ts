import type { Dataset } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';
import { usesBatchNormalization } from '../../shared/model/topology.ts';
import type { OpenCoordinatorEngine } from '../integrity/reference-engine.ts';
import type { Reporter } from '../report/reporter.ts';
import { isLoopback } from '../server/reachable-hosts.ts';
import { tryStep } from './trial-step.ts';

/** The parts of a run that are checked before its first step. */
interface CheckedRun {
  readonly job: Job;
  readonly initialWeights: Float32Array;
  readonly dataset: Dataset;
  readonly notes: readonly string[];
}

/** Samples that the default model has always been trained on; it needs no trial there. */
const DEFAULT_SAMPLE_SHAPE = '28,28,1';

/**
 * Says how the model was read, and tries one step with it, unless it is the default one on images of the usual size.
 * @param ownModel whether a person's model is trained
 * @throws Error with a sentence if it cannot be trained
 */
export async function checkModel(
  { job, initialWeights, dataset, notes }: CheckedRun,
  ownModel: boolean,
  program: { readonly openCoordinatorEngine: OpenCoordinatorEngine },
  report: Reporter,
): Promise<void> {
  for (const note of notes) report.warn(note);
  if (usesBatchNormalization(job.topology) && job.microShard === 1) {
    throw new Error(
      'The model has BatchNormalization, which learns nothing from micro-shards of one sample. Use a larger --micro-shard.',
    );
  }
  if (!ownModel && String(dataset.sampleShape) === DEFAULT_SAMPLE_SHAPE) return;
  const own = await program.openCoordinatorEngine('wasm');
  try {
    await tryStep(own.engine, { job, initialWeights }, dataset);
  } finally {
    await own.close();
  }
}

/**
 * Warns of batch normalization where a batch is computed in parts: each is normalized by itself. See
 * docs/decisions/0034-batch-normalization.md.
 */
export function warnOfShardStatistics(
  { topology, microShard }: Job,
  {
    command,
    workers,
    host,
  }: { readonly command: 'train' | 'coordinator'; readonly workers: number; readonly host: string },
  report: Reporter,
): void {
  if (!usesBatchNormalization(topology)) return;
  if (microShard !== undefined) {
    report.warn(
      `The model has BatchNormalization: every micro-shard of ${microShard} samples is normalized by itself (per-shard ` +
        'statistics). A larger --micro-shard comes closer to the whole batch.',
    );
    return;
  }
  if (command === 'train' && workers === 1 && isLoopback(host)) return;
  report.warn(
    "The model has BatchNormalization: each worker's shard is normalized by itself (per-shard statistics), so the result " +
      'depends on the number of workers. LayerNormalization, frozen layers or train --workers 1 avoid it.',
  );
}

import type { Engine } from '../../../shared/engine/engine.ts';
import type { Job } from '../../../shared/model/job.ts';
import type { TF } from '../../../shared/util/tf.ts';
import { measureDeviation, type LayerCase } from '../keras-layers.ts';
import { compareLossStep, type LossStep } from '../loss-differences.ts';
import {
  compareWithKeras,
  kerasDataset,
  kerasWeights,
  type KerasModel,
  type KerasModels,
} from '../model-differences.ts';

// Runs in a page as well as in Node.

/** One step that Keras computed, prepared for any engine. It is JSON, so that a page can measure it. */
export type StepCase = { readonly name: string } & (
  | {
      readonly kind: 'model';
      /** The batch of all models. */
      readonly batch: KerasModels;
      readonly model: KerasModel;
      readonly job: Job;
      readonly names: readonly string[];
    }
  | { readonly kind: 'layer'; readonly layer: LayerCase }
  | { readonly kind: 'loss'; readonly step: LossStep }
);

/** Differences of a step from that of Keras: of the loss, relative to it, and of the gradient, relative to its norm. */
export interface CaseResult {
  readonly loss: number;
  readonly gradient: number;
}

/**
 * Computes a case on an engine.
 * @param repeats number of computations, of which the last is measured
 * @param between called after each computation
 */
export async function measureCase(
  tf: TF,
  engine: Engine,
  each: StepCase,
  repeats = 1,
  between: () => void = () => undefined,
): Promise<CaseResult> {
  switch (each.kind) {
    case 'layer': {
      const { loss, gradient, frozenAreZero } = await measureDeviation(
        tf,
        engine,
        each.layer,
        repeats,
        between,
      );
      return { loss, gradient: frozenAreZero ? gradient : Infinity };
    }
    case 'loss':
      return compareLossStep(engine, each.step, repeats, between);
    case 'model': {
      const { job, names, model } = each;
      const prepared = { job, names, weights: kerasWeights(job, names) };
      const dataset = kerasDataset(each.batch);
      const { loss, gradient } = await compareWithKeras(engine, dataset, model, prepared, repeats, between);
      return { loss, gradient };
    }
  }
}

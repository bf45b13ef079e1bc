import type { Trainer } from '../../../shared/engine/engine.ts';
import type { ModelStep } from '../../../shared/engine/model-step.ts';
import { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import { createTrainer, readByData } from '../../../shared/engine/tf-engine.ts';
import { messageOf } from '../../../shared/error-text.ts';
import type { Job } from '../../../shared/model/job.ts';
import { scoreLogits } from '../../../shared/model/loss.ts';
import type { Native } from './backend.ts';
import { GraphCache } from './graph-cache.ts';
import type { Idle } from './idle.ts';
import { captureStep, type GraphKind, type StepGraph } from './step-capture.ts';

/** Sizes of shards that have a graph of their own, for each kind of graph; each graph has its session's memory. */
const MOST_GRAPHS = 6;
/** A size that was not seen for so many shards gives its place to another. */
const STALE_AFTER_SHARDS = 100;

export interface CaptureOptions {
  /** When to capture: while nobody waits. */
  readonly idle: Idle;
  /** Hears why a computation stays op by op; a sentence. */
  readonly note: (line: string) => void;
}

/**
 * A trainer that computes the first shard of each size op by op, captures the computation as a TensorFlow graph when
 * nobody waits for it, and replays that from then on. What cannot be captured stays op by op.
 */
export function createCapturedTrainer(
  native: Native,
  job: Job,
  modelStep: ModelStep,
  { idle, note }: CaptureOptions,
): Trainer {
  const { tf } = native;
  const { built } = modelStep;
  const { slices } = built.layout;
  const { classes } = job.data;
  const inputs = new ShardInputs(job);
  const eager = createTrainer(tf, job, modelStep, inputs, readByData);
  const graphs: Record<GraphKind, GraphCache<number, StepGraph>> = {
    gradient: new GraphCache(MOST_GRAPHS, STALE_AFTER_SHARDS),
    factored: new GraphCache(MOST_GRAPHS, STALE_AFTER_SHARDS),
    logits: new GraphCache(MOST_GRAPHS, STALE_AFTER_SHARDS),
  };
  const givenUp = new Set<GraphKind>();
  const waiting = new Set<string>();
  let disposed = false;
  // A graph's bits are not those of the same ops one by one: where bits matter, nothing is computed without one.
  const exact = job.microShard !== undefined;

  const giveUp = (kind: GraphKind, error: unknown): void => {
    givenUp.add(kind);
    graphs[kind].clear();
    const why = messageOf(error);
    const what = kind === 'logits' ? 'Evaluation' : 'The gradient';
    note(`${what} runs op by op, as it cannot be captured as a graph: ${why}.`);
  };

  const captureNow = (kind: GraphKind, samples: number): void => {
    if (disposed || givenUp.has(kind) || !graphs[kind].hasRoom) return;
    try {
      graphs[kind].add(samples, captureStep(native, job, modelStep, kind, samples));
    } catch (error) {
      giveUp(kind, error);
    }
  };

  /** Called after a shard was computed op by op: the next ones of its size shall have a graph. */
  const wish = (kind: GraphKind, samples: number): void => {
    const key = `${kind} ${samples}`;
    if (exact || givenUp.has(kind) || waiting.has(key) || !graphs[kind].hasRoom) return;
    waiting.add(key);
    idle.later(() => {
      waiting.delete(key);
      captureNow(kind, samples);
    });
  };

  /**
   * Runs a shard's graph, if there is one.
   * @param prepare makes the shard's inputs, and returns its images
   * @returns the logits
   */
  const replay = (
    kind: GraphKind,
    samples: number,
    prepare: () => Float32Array,
    readPart: (values: Float32Array, part: number) => void,
  ): Float32Array | null => {
    if (exact && !graphs[kind].has(samples)) captureNow(kind, samples);
    const graph = graphs[kind].use(samples);
    if (graph === undefined) return null;
    let logits: Float32Array | null = null;
    const parts = { gradient: slices.length, factored: slices.length + 1, logits: 0 }[kind];
    const scaled = prepare();
    try {
      graph.run(scaled, inputs, (values, output) => {
        if (output < parts) readPart(values, output);
        else logits = values;
      });
    } catch (error) {
      if (exact) throw error;
      giveUp(kind, error);
    } finally {
      inputs.forget();
    }
    return logits;
  };

  const replayLogits = (images: Uint8Array, samples: number): Float32Array | null =>
    replay(
      'logits',
      samples,
      () => inputs.scaled(images),
      () => undefined,
    );

  return {
    givesFactors: modelStep.factored !== null,
    setWeights: (weights, from) => eager.setWeights(weights, from),
    prepare: (step, shard) => eager.prepare(step, shard),

    async gradient(step, shard, gradient, _tail, factored = false) {
      const kind = factored ? 'factored' : 'gradient';
      const samples = shard.labels.length;
      const prepare = (): Float32Array => {
        inputs.prepare(step, shard);
        return inputs.images();
      };
      const kernel = slices[modelStep.factored ?? -1];
      const behind = (kernel?.offset ?? 0) + samples * (kernel?.shape[0] ?? 0);
      const logits = replay(kind, samples, prepare, (values, part) => {
        gradient.set(values, part < slices.length ? slices[part]?.offset : behind);
      });
      const result =
        logits === null
          ? await eager.gradient(step, shard, gradient, undefined, factored)
          : { ...scoreLogits(logits, shard.labels, classes), factored };
      if (logits === null) wish(kind, samples);
      idle.answered();
      return result;
    },

    async evaluate(shard) {
      const logits = replayLogits(shard.images, shard.labels.length);
      const result =
        logits === null ? await eager.evaluate(shard) : scoreLogits(logits, shard.labels, classes);
      if (logits === null) wish('logits', shard.labels.length);
      idle.answered();
      return result;
    },

    async predict(images, samples) {
      const logits = replayLogits(images, samples);
      if (logits !== null) {
        return tf.tidy(() => tf.softmax(tf.tensor2d(logits, [samples, classes])).dataSync<'float32'>());
      }
      const probabilities = await eager.predict(images, samples);
      wish('logits', samples);
      return probabilities;
    },

    dispose() {
      disposed = true;
      for (const cache of Object.values(graphs)) cache.clear();
      eager.dispose();
    },
  };
}

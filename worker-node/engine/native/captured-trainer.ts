import type { Shard } from '../../../shared/data/shard.ts';
import type { Trainer } from '../../../shared/engine/engine.ts';
import type { ModelStep } from '../../../shared/engine/model-step.ts';
import { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import { createTrainer, readByData } from '../../../shared/engine/tf-engine.ts';
import type { Job } from '../../../shared/model/job.ts';
import { addScores, scoreLogits } from '../../../shared/model/loss.ts';
import { TreeSum } from '../../../shared/model/sum-tree.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import type { Native } from './backend.ts';
import { GraphCache } from './graph-cache.ts';
import type { Idle } from './idle.ts';
import { addsAsDefined, HeldSum, type HeldTensors } from './held-tensors.ts';
import { outputReader } from './output-reader.ts';
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
  const read = outputReader(modelStep, classes);
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
  // A session's outputs lie in the host's memory: a GPU would have to fetch them to add them.
  const addsHeld =
    exact &&
    native.backend.isUsingGpuDevice !== true &&
    addsAsDefined(
      native.backend.binding,
      slices.map(({ shape }) => shape),
    );

  const giveUp = (kind: GraphKind, error: unknown): void => {
    givenUp.add(kind);
    graphs[kind].clear();
    const why = error instanceof Error ? error.message : String(error);
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

  const captureAhead = (kind: GraphKind, samples: number): void => {
    if (exact && !graphs[kind].has(samples)) captureNow(kind, samples);
  };

  /**
   * Runs a shard's graph, if there is one.
   * @param prepare makes the shard's inputs, and returns its images
   * @returns its outputs, the caller's to dispose
   */
  const replay = (kind: GraphKind, samples: number, prepare: () => Float32Array): HeldTensors | null => {
    captureAhead(kind, samples);
    const graph = graphs[kind].use(samples);
    if (graph === undefined) return null;
    const scaled = prepare();
    try {
      return graph.run(scaled, inputs);
    } catch (error) {
      if (exact) throw error;
      giveUp(kind, error);
      return null;
    } finally {
      inputs.forget();
    }
  };

  const replayGradient = (kind: GraphKind, step: Step, shard: Shard): HeldTensors | null =>
    replay(kind, shard.labels.length, () => {
      inputs.prepare(step, shard);
      return inputs.images();
    });

  const replayLogits = (images: Uint8Array, samples: number): Float32Array | null => {
    const outputs = replay('logits', samples, () => inputs.scaled(images));
    return outputs && read.logits(outputs);
  };

  return {
    givesFactors: modelStep.factored !== null,
    setWeights: (weights, from) => eager.setWeights(weights, from),
    prepare: (step, shard) => eager.prepare(step, shard),

    async gradient(step, shard, gradient, _tail, factored = false) {
      const kind = factored ? 'factored' : 'gradient';
      const outputs = replayGradient(kind, step, shard);
      const result =
        outputs === null
          ? await eager.gradient(step, shard, gradient, undefined, factored)
          : read.gradient(outputs, shard, gradient, factored);
      if (outputs === null) wish(kind, shard.labels.length);
      idle.answered();
      return result;
    },

    gradientOfParts(step, parts, gradient) {
      if (!addsHeld) return null;
      const scores = new TreeSum(addScores);
      const sum = new HeldSum(slices.length);
      try {
        for (const part of parts) {
          const outputs = replayGradient('gradient', step, part);
          if (outputs === null) return null;
          scores.push(read.scores(outputs, part));
          sum.push(outputs);
        }
        read.parts(sum.total(), gradient);
        return scores.total();
      } finally {
        sum.dispose();
        idle.answered();
      }
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

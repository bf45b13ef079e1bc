import { sliceShard } from '../../shared/data/shard.ts';
import { lossDefinition } from '../../shared/model/losses.ts';
import { METRICS } from '../../shared/model/metrics.ts';
import type { OutputSpec } from '../../shared/model/outputs.ts';
import { addScores, Scoring } from '../../shared/model/scoring.ts';
import type { TensorSpec } from '../../shared/model/tensors.ts';
import { kerasLosses, type KerasLosses } from './keras-losses.ts';

const { weights } = kerasLosses();
const samples = weights.length;

/** A model whose outputs are given, so that no activation is part of the loss. */
const topology = { class_name: 'Sequential', config: { name: 'm', layers: [] } };

/** Scores a case in two shards, whose sums are added. */
function score(
  {
    targetShape,
    target,
    outputShape,
    output,
  }: KerasLosses['losses'][number] | KerasLosses['metrics'][number],
  spec: Pick<OutputSpec, 'loss' | 'metrics'>,
  isSparse: boolean,
  sampleWeights: boolean,
) {
  const outputs = [{ name: 'y', shape: [...outputShape], ...spec }];
  const targets: TensorSpec[] = [
    {
      name: 'y',
      shape: [...targetShape],
      dtype: isSparse ? 'int32' : 'float32',
      ...(isSparse ? { classes: 4 } : {}),
    },
  ];
  const scoring = new Scoring({ topology, outputs, targets, sampleWeights });
  const shard = {
    sampleNumbers: new Uint32Array(samples),
    inputs: [Float64Array.from(output) as unknown as Float32Array],
    targets: [(isSparse ? Int32Array.from(target) : Float64Array.from(target)) as unknown as Float32Array],
    ...(sampleWeights ? { weights: Float32Array.from(weights) } : {}),
  };
  const [first, second] = [sliceShard(shard, 0, 2), sliceShard(shard, 2, samples)].map((part) =>
    scoring.score(part.inputs, part),
  );
  const sums = addScores(first!, second!);
  const impossible = scoring.findImpossible(sums, samples);
  if (impossible !== null) throw new Error(`Impossible sums: ${impossible}`);
  return { loss: sums.lossSum / samples, metrics: scoring.values(sums, samples) };
}

/** Mean loss of a case. */
export const lossOf = (each: KerasLosses['losses'][number], weighted: boolean): number =>
  score(each, { loss: each.loss, metrics: [] }, lossDefinition(each.loss.name).isSparse === true, weighted)
    .loss;

/** Value of a case's metric. */
export function metricOf(each: KerasLosses['metrics'][number], weighted: boolean): number {
  const isSparse = METRICS[each.metric.name]?.isSparse === true || each.target.length < each.output.length;
  const loss = {
    name: isSparse ? 'sparse_categorical_crossentropy' : 'mean_squared_error',
    fromLogits: isSparse || undefined,
  } as const;
  const { metrics } = score(each, { loss, metrics: [{ ...each.metric, weighted }] }, isSparse, weighted);
  return metrics[each.metric.name] ?? NaN;
}

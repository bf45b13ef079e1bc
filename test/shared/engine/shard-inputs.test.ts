import { expect, test } from 'vitest';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { sliceShard } from '../../../shared/data/shard.ts';
import { microShardSizes } from '../../../shared/engine/micro-shards.ts';
import { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { noise } from '../../support/noise.ts';
import { sampleSize } from '../../../shared/model/tensors.ts';

const { dataset, shardOf } = noise(6, 16);
const { job } = await prepareJob(dataset, { batchSize: 16, epochs: 1, seed: 3 });
const imageBytes = sampleSize(dataset.inputs[0]!);
const layer = 1;
const rate = 0.5;
const size = 7;

const part = sliceShard;

const inputsOf = (inputs: ShardInputs, samples: number): (Float32Array | Uint32Array)[] =>
  [
    inputs.values()[0]!,
    inputs.targets()[0]!,
    inputs.mask(layer, rate, samples * size),
    inputs.mask(layer + 1, 'normal', samples * size),
    inputs.mask(layer + 2, 'uniform', samples),
    inputs.keys(),
  ].map((values) => values.slice());

test.each([1, 3, 8, 13, 16])(
  'micro-shards of %d in a prepared shard of 13 have the same inputs as separate shards',
  (microShard) => {
    const whole = shardOf(13);
    const inputs = new ShardInputs(job);
    // The mask of the layer is prepared in advance only in the second step.
    for (const step of [4, 5] as Step[]) {
      inputs.prepare(step, whole);
      let from = 0;
      for (const samples of microShardSizes(13, microShard)) {
        inputs.select(from, samples);
        const alone = new ShardInputs(job);
        alone.prepare(step, part(whole, from, from + samples));
        expect(inputsOf(inputs, samples)).toEqual(inputsOf(alone, samples));
        from += samples;
      }
      expect(from).toBe(13);
      inputs.discard();
    }
  },
);

test('preparing the next shard selects all its samples', () => {
  const inputs = new ShardInputs(job);
  inputs.prepare(0 as Step, shardOf(8));
  inputs.select(2, 3);
  inputs.prepare(1 as Step, shardOf(5));
  expect(inputs.values()[0]!.length).toBe(5 * imageBytes);
  expect(inputs.targets()[0]!.length).toBe(5 * dataset.targets[0]!.classes!);
});

import { beforeAll, describe, expect, it } from 'vitest';
import { prepareJob, type PreparedJob } from '../../../../coordinator/model/model.ts';
import { syntheticDigits } from '../../../../shared/data/synthetic-digits.ts';
import type { Engine, GradientComputer } from '../../../../shared/engine/engine.ts';
import type { Step } from '../../../../shared/protocol/messages.ts';
import { parallelEngine, splitShard } from '../../../../shared/engine/remote-engine/parallel-engine.ts';
import {
  connectEngine,
  memoryStrategies,
  served,
  type ConnectedEngine,
} from '../../../support/remote-engine.ts';
import { imagesOf, labelsOf } from '../../../support/images.ts';
import { type Shard } from '../../../../shared/data/shard.ts';

const info = { backend: 'fake', version: '1', device: 'none', threads: 1 };
const shard = {
  sampleNumbers: Uint32Array.of(10, 11, 12, 13, 14),
  inputs: [Uint8Array.from({ length: 10 }, (_, i) => i)],
  targets: [Uint8Array.of(0, 1, 2, 3, 4)],
};

/** Engine whose gradient is, at every position, the sum of the sample numbers times the first weight. */
function summingEngine(disposed: () => void, computed: (samples: number) => void): Engine {
  return {
    info,
    load: () => {
      let weight = 0;
      const computer: GradientComputer = {
        setWeights: ([first = 0]) => void (weight = first),
        prepare: () => undefined,
        gradient(_step, { sampleNumbers }, gradient) {
          const sum = sampleNumbers.reduce((total, number) => total + number, 0);
          gradient.fill(weight * sum);
          computed(sampleNumbers.length);
          return Promise.resolve({ lossSum: sampleNumbers.length, metrics: [1] });
        },
        evaluate: ({ sampleNumbers }) =>
          Promise.resolve({ lossSum: sampleNumbers.length, metrics: [weight] }),
        predict: ([images]) => Promise.resolve(Float32Array.of(weight, images?.length ?? 0)),
        dispose: disposed,
      };
      return Promise.resolve(computer);
    },
  };
}

let prepared: PreparedJob;
beforeAll(async () => {
  const dataset = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  prepared = await prepareJob(dataset, { batchSize: 8, epochs: 1, seed: 1 });
});

describe.each(memoryStrategies)('engines in parallel with %s', (_, allocateShared) => {
  let disposals = 0;
  /** Samples of each gradient that an engine has computed. */
  let computed: number[] = [];
  const connectAll = (count: number): Promise<ConnectedEngine[]> => {
    disposals = 0;
    computed = [];
    const engine = summingEngine(
      () => disposals++,
      (samples) => computed.push(samples),
    );
    return Promise.all(Array.from({ length: count }, () => connectEngine(allocateShared, served(engine))));
  };
  const combine = (connected: readonly ConnectedEngine[]): Engine =>
    parallelEngine({ engines: connected.map(({ remote }) => remote), info, allocateShared });

  it.each([1, 3, 7])('add the gradients of their parts: %i engines', async (count) => {
    const computer = await combine(await connectAll(count)).load(prepared.job);
    const gradient = new Float32Array(prepared.initialWeights.length);
    for (const weight of [1, 2, 3]) {
      computer.setWeights(Float32Array.of(weight));
      computer.prepare(weight as Step, shard);
      const result = await computer.gradient(weight as Step, shard, gradient);
      expect(result).toEqual({ lossSum: 5, metrics: [Math.min(count, 5)], isFactored: false });
      expect(new Set(gradient)).toEqual(new Set([weight * 60]));
    }
    expect((await computer.evaluate(shard)).lossSum).toBe(5);
    expect([...(await computer.predict(shard.inputs, 5))]).toEqual([3, 10]);
  });

  it('compute whole blocks of micro-shards in exact mode', async () => {
    const connected = await connectAll(3);
    const computer = await combine(connected).load({ ...prepared.job, microShard: 1 });
    computer.setWeights(Float32Array.of(1));
    const gradient = new Float32Array(prepared.initialWeights.length);
    await computer.gradient(0 as Step, shard, gradient);
    expect(new Set(gradient)).toEqual(new Set([60]));
    // Five leaves are 4 + 1, and these (2 + 2) + 1.
    expect(computed.toSorted()).toEqual([1, 2, 2]);
  });

  it('load a job on all engines, or on none', async () => {
    const connected = await connectAll(2);
    const failing = await connectEngine(
      allocateShared,
      served({ info, load: () => Promise.reject(new Error('No memory.')) }),
    );
    await expect(combine([...connected, failing]).load(prepared.job)).rejects.toThrow('No memory.');
    await expect.poll(() => disposals).toBe(2);
  });

  it('fail when one engine is lost', async () => {
    const [first, second] = await connectAll(2);
    const computer = await combine([first!, second!]).load(prepared.job);
    second!.endThread('no memory');
    const gradient = new Float32Array(prepared.initialWeights.length);
    await expect(computer.gradient(0 as Step, shard, gradient)).rejects.toThrow(
      'The engine was lost: no memory',
    );
  });
});

describe('a shard in parts', () => {
  it.each([1, 2, 3, 5, 9])('has every sample once, in order, in %i', (count) => {
    const parts = splitShard(shard, count);
    expect(parts.length).toBe(Math.min(count, 5));
    for (const valuesOf of [(part: Shard) => part.sampleNumbers, imagesOf, labelsOf]) {
      expect(parts.flatMap((part) => [...valuesOf(part)])).toEqual([...valuesOf(shard)]);
    }
    const sizes = parts.map(({ sampleNumbers }) => sampleNumbers.length);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  });
});

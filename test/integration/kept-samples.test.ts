import { expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { parseFromCoordinator } from '../../shared/protocol/frame.ts';
import type { Connect } from '../../shared/protocol/transport.ts';
import type { SampleBlock, SampleStorage, SampleStoreOptions } from '../../shared/worker/sample-store.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../support/test-coordinator.ts';
import { attachWorker, trainToEnd, type RunResult } from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 500, testCount: 600 });
const SAMPLE_BYTES = 785;
const ALL_SAMPLES = 1100 * SAMPLE_BYTES;

/** Three epochs with one worker. @returns the result, and the bytes of all messages with samples in each epoch */
async function run(sampleStore?: SampleStoreOptions): Promise<RunResult & { readonly epochBytes: number[] }> {
  const topology = tinyTopology([28, 28, 1], 10);
  const coordinator = await testCoordinator(dataset, { topology, batchSize: 128, epochs: 3 });
  let bytes = 0;
  const connect: Connect = (url, events) =>
    connectWebSocket(url, {
      ...events,
      onFrame(frame) {
        const { type } = parseFromCoordinator(frame).message;
        if (type === 'shard' || type === 'prefetch') bytes += frame.length;
        events.onFrame(frame);
      },
    });
  const worker = attachWorker(coordinator.url, 'worker', await wasmEngine(), connect, undefined, sampleStore);
  await waitForWorkersReady(coordinator, 1);
  const epochBytes: number[] = [];
  const result = await trainToEnd(coordinator, dataset, {
    onEpoch: () => {
      epochBytes.push(bytes);
      bytes = 0;
    },
  });
  await coordinator.close('done');
  await worker.ended;
  return { ...result, epochBytes };
}

/** Storage in memory, as a browser's outlives its page. */
function memoryStorage(): SampleStorage & { readonly blocks: Map<string, SampleBlock[]> } {
  const blocks = new Map<string, SampleBlock[]>();
  return {
    blocks,
    load(key, take) {
      blocks.get(key)?.every(take);
      return Promise.resolve();
    },
    save: (key, block) => void blocks.set(key, [...(blocks.get(key) ?? []), block]),
    remove: (key) => void blocks.delete(key),
  };
}

test('from the second epoch on only sample numbers travel, and no bit of the result changes', async () => {
  const sent = await run();
  const kept = await run({ maxBytes: 2 ** 20 });
  expect(kept.weights).toEqual(sent.weights);
  for (const bytes of sent.epochBytes) expect(bytes).toBeGreaterThan(ALL_SAMPLES);
  expect(kept.epochBytes[0]).toBeGreaterThan(ALL_SAMPLES);
  expect(kept.epochBytes[1]).toBeLessThan(0.01 * ALL_SAMPLES);
  expect(kept.epochBytes[2]).toBeLessThan(0.01 * ALL_SAMPLES);
});

test('a worker with little memory keeps what fits', async () => {
  const sent = await run();
  const kept = await run({ maxBytes: 550 * SAMPLE_BYTES });
  expect(kept.weights).toEqual(sent.weights);
  expect(kept.epochBytes[1]).toBeGreaterThan(0.45 * ALL_SAMPLES);
  expect(kept.epochBytes[1]).toBeLessThan(0.55 * ALL_SAMPLES);
});

test('stored samples are used by the next worker', async () => {
  const storage = memoryStorage();
  const first = await run({ maxBytes: 2 ** 20, storage });
  expect([...storage.blocks.values()].flat()).toHaveLength(1);
  const second = await run({ maxBytes: 2 ** 20, storage });
  expect(second.weights).toEqual(first.weights);
  expect(second.epochBytes[0]).toBeLessThan(0.01 * ALL_SAMPLES);
});

test('no more stored samples are read than fit into the memory', async () => {
  const storage = memoryStorage();
  const first = await run({ maxBytes: 2 ** 20, storage });
  const [[key, [{ numbers, bytes }]]] = [...storage.blocks] as [[string, [SampleBlock]]];
  const count = numbers.train.length;
  const parts = Array.from({ length: count / 100 }, (_, i) => ({
    numbers: { train: numbers.train.slice(100 * i, 100 * (i + 1)), evaluate: [] },
    bytes: bytes.slice(100 * i * SAMPLE_BYTES, 100 * (i + 1) * SAMPLE_BYTES),
  }));
  let read = 0;
  const counting: SampleStorage = {
    ...storage,
    load(_, take) {
      parts.every((part) => {
        read++;
        return take(part);
      });
      return Promise.resolve();
    },
  };
  const second = await run({ maxBytes: 250 * SAMPLE_BYTES, storage: counting });
  expect(second.weights).toEqual(first.weights);
  expect(parts.length).toBeGreaterThan(3);
  expect(read).toBe(3);
  expect(storage.blocks.get(key)).toHaveLength(1);
});

test('stored samples that are damaged are removed, and sent again', async () => {
  const storage = memoryStorage();
  const first = await run({ maxBytes: 2 ** 20, storage });
  const [[key, [block]]] = [...storage.blocks] as [[string, [SampleBlock]]];
  // Samples of several shards, of which a worker has two at a time in an evaluation.
  for (let sample = 0; sample < 1100; sample += 50) block.bytes[sample * SAMPLE_BYTES] = 99;
  const second = await run({ maxBytes: 2 ** 20, storage });
  expect(second.weights).toEqual(first.weights);
  expect(second.epochBytes.at(-1)).toBeGreaterThan(ALL_SAMPLES);
  expect(storage.blocks.get(key) ?? []).not.toContain(block);
});

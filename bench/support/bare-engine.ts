// A single engine, with no network at all: answers every message with the milliseconds that one gradient step took.
import { drawDigits } from '../../shared/data/drawn-digits.ts';
import { prepareJob } from '../../coordinator/model.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { chooseEngine, type EngineChoice } from '../../worker-node/engine/choose.ts';

const [, , choice = 'wasm', batchText = '128'] = process.argv;
const batch = Number(batchText);
const dataset = drawDigits({ seed: 1, trainCount: batch, testCount: 10 });
const { job, initialWeights } = await prepareJob(dataset, { batchSize: batch, epochs: 1, seed: 1 });
const { engine } = await chooseEngine(choice as EngineChoice);
const trainer = await engine.load(job);
const gradient = new Float32Array(initialWeights.length);
const shard = {
  sampleNumbers: Uint32Array.from({ length: batch }, (_, i) => i),
  images: dataset.train.images,
  labels: dataset.train.labels,
};
let step = 0;
process.on('message', () => void compute());
process.send?.('ready');

async function compute(): Promise<void> {
  const startedMs = performance.now();
  trainer.setWeights(initialWeights);
  await trainer.gradient(step++ as Step, shard, gradient);
  process.send?.(performance.now() - startedMs);
}

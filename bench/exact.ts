// Compares an engine's gradient of a shard of the default CNN as a whole and in micro-shards: medians of alternating blocks.
// Inputs are prepared before the clock starts, as a worker prepares them while it waits.
// Arguments: [native | wasm] [steps = 30] [samples = 128,64] [micro-shard = 16,32]
import * as tf from '@tensorflow/tfjs';
import { prepareJob } from '../coordinator/model/model.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import type { Engine } from '../shared/engine/engine.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { openNativeEngine } from '../worker-node/engine/native/open-native.ts';
import { openWasmEngine } from '../worker-node/engine/open/open-wasm.ts';
import { median, spread } from './support/statistics.ts';

const [, , backend = 'native', stepsText = '30', samplesText = '128,64', microShardsText = '16,32'] =
  process.argv;
const WARM_UP = 4;
/** Consecutive steps of each kind, so that the caches are warm. */
const BLOCK = 3;

process.env.TF_NUM_INTRAOP_THREADS ??= '1';
const engine = await open();
let step = 0;

for (const samples of samplesText.split(',').map(Number)) {
  const dataset = syntheticDigits({ seed: 1, trainCount: samples, testCount: 10 });
  const shard = {
    sampleNumbers: Uint32Array.from({ length: samples }, (_, i) => i),
    ...dataset.train,
  };
  const kinds = [];
  for (const microShard of [undefined, ...microShardsText.split(',').map(Number)]) {
    const prepared = await prepareJob(dataset, { batchSize: samples, epochs: 1, seed: 1, microShard });
    await tf.setBackend(backend === 'wasm' ? 'wasm' : 'tensorflow');
    const computer = await engine.load(prepared.job);
    kinds.push({ microShard, computer, weights: prepared.initialWeights, times: [] as number[] });
  }
  const gradient = new Float32Array(kinds[0]!.weights.length);
  for (let done = -WARM_UP; done < Number(stepsText); done += BLOCK) {
    for (const { computer, weights, times } of kinds) {
      for (let i = 0; i < BLOCK; i++) {
        const now = step++ as Step;
        computer.prepare(now, shard);
        const startedMs = performance.now();
        computer.setWeights(weights);
        await computer.gradient(now, shard, gradient);
        if (done >= 0) times.push(performance.now() - startedMs);
      }
      // The engine captures the graph of a size in this pause.
      if (done < 0) await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
  const wholeMs = median(kinds[0]!.times);
  for (const { microShard, times } of kinds) {
    const label = microShard === undefined ? 'as a whole' : `in micro-shards of ${microShard}`;
    const ratio = microShard === undefined ? '' : `, ${(median(times) / wholeMs).toFixed(3)} x`;
    console.log(`${backend}, ${samples} samples ${label}: ${spread(times)} ms${ratio}`);
  }
}

async function open(): Promise<Engine> {
  if (backend === 'wasm') return openWasmEngine();
  const opened = await openNativeEngine();
  if ('missing' in opened) throw new Error(`Native TensorFlow is not available: ${opened.missing}`);
  return opened.engine;
}

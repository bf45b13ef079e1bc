// A single engine without a network: answers every message with the milliseconds of one gradient step.
import type { Step } from '../../shared/protocol/messages.ts';
import { chooseEngine } from '../../worker-node/engine/open/choose-engine.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import { syntheticShard } from './synthetic-shard.ts';

const [, , choice = 'wasm', batchText = '128'] = process.argv;
const batch = Number(batchText);
const { job, initialWeights, shard } = await syntheticShard(batch);
const { engine } = await chooseEngine(choice as EngineChoice);
const computer = await engine.load(job);
const gradient = new Float32Array(initialWeights.length);
let step = 0;
process.on('message', () => void compute());
process.send?.('ready');

async function compute(): Promise<void> {
  const startedMs = performance.now();
  computer.setWeights(initialWeights);
  await computer.gradient(step++ as Step, shard, gradient);
  process.send?.(performance.now() - startedMs);
}

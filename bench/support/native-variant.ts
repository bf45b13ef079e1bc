// A native engine in one of three variants. Answers every number with the milliseconds of that many gradient steps and of
// preparing their inputs. Arguments: stock, eager or captured; batch
import { createModelStep } from '../../shared/engine/model-step.ts';
import { ShardInputs } from '../../shared/engine/shard-inputs.ts';
import { createGradientComputer, copyingTransfers } from '../../shared/engine/tf-engine.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { openNative } from '../../worker-node/engine/native/open-native.ts';
import { createCapturedGradientComputer } from '../../worker-node/engine/native/captured-gradient-computer.ts';
import { registerNativeGradients } from '../../worker-node/engine/native/gradients.ts';
import { createIdleScheduler } from '../../worker-node/engine/native/idle-scheduler.ts';
import { syntheticShard } from './synthetic-shard.ts';

/** Times of consecutive steps. */
export interface VariantTimes {
  readonly stepMs: number[];
  readonly inputsMs: number[];
}

const [, , variant = 'captured', batchText = '128'] = process.argv;
const batch = Number(batchText);
const opened = await openNative();
if ('missing' in opened) throw new Error(`Native TensorFlow is not available: ${opened.missing}`);
const { native } = opened;
const { tf } = native;
if (variant !== 'stock') registerNativeGradients(tf, native.backend);
const { job, initialWeights, shard } = await syntheticShard(batch);
await tf.setBackend('tensorflow');
const modelStep = await createModelStep(tf, job);
const note = (line: string): void => console.error(line);
const computer =
  variant === 'captured'
    ? createCapturedGradientComputer(native, job, modelStep, { idle: createIdleScheduler(), note })
    : createGradientComputer(tf, job, modelStep, new ShardInputs(job), copyingTransfers);
const gradient = new Float32Array(initialWeights.length);
let step = 0;
process.on('message', (count: number) => void run(count));
process.send?.('ready');

async function run(count: number): Promise<void> {
  const times: VariantTimes = { stepMs: [], inputsMs: [] };
  for (let i = 0; i < count; i++) await runStep(times);
  process.send?.(times);
}

/** Runs a step. Inputs are prepared before the clock starts, as a worker prepares them while it waits for the weights. */
async function runStep({ stepMs, inputsMs }: VariantTimes): Promise<void> {
  const now = step++ as Step;
  const preparedMs = performance.now();
  computer.prepare(now, shard);
  const startedMs = performance.now();
  computer.setWeights(initialWeights);
  await computer.gradient(now, shard, gradient);
  inputsMs.push(startedMs - preparedMs);
  stepMs.push(performance.now() - startedMs);
}

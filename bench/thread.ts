// Measures the overhead of the engine thread: the same gradient steps in this thread and in the engine thread, in turn, with
// new weights before each step. Arguments: [engine = wasm] [steps = 200]
import { dirname, join } from 'node:path';
import type { GradientComputer } from '../shared/engine/engine.ts';
import type { Topology } from '../shared/model/job.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { chooseEngine } from '../worker-node/engine/open/choose-engine.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import { openThreadedEngine } from '../worker-node/thread/threaded-engine.ts';
import { syntheticShard } from './support/synthetic-shard.ts';
import { median, spread } from './support/statistics.ts';

const [, , choiceText = 'wasm', stepsText = '200'] = process.argv;
const choice = choiceText as EngineChoice;
const steps = Number(stepsText);
const file = join(dirname(process.argv[1] ?? ''), '../worker-node/thread/engine-thread.js');

/** Model with almost no computation. */
const tiny: Topology = {
  class_name: 'Sequential',
  config: {
    name: 'tiny',
    layers: [
      { class_name: 'Flatten', config: { batch_input_shape: [null, 28, 28, 1] } },
      { class_name: 'Dense', config: { units: 10, activation: 'softmax' } },
    ],
  },
};

// Preparing a job switches the backend of tfjs, so all jobs are prepared before the engine opens.
const cases = await Promise.all(
  (
    [
      ['a tiny model (8 thousand weights), batch 1', 1, tiny],
      ['the default CNN, batch 16', 16, undefined],
    ] as const
  ).map(async ([what, batch, topology]) => {
    return { what, ...(await syntheticShard(batch, topology)) };
  }),
);
const { engine } = await chooseEngine(choice, console.error);
const threaded = await openThreadedEngine({ file, choice, note: console.error });

for (const { what, shard, job, initialWeights } of cases) {
  const step = async (computer: GradientComputer, number: number): Promise<number> => {
    const buffer = buffers.get(computer);
    if (buffer === undefined) throw new Error('There is no buffer for a gradient.');
    const startedMs = performance.now();
    computer.setWeights(initialWeights);
    await computer.gradient(number as Step, shard, buffer);
    return performance.now() - startedMs;
  };
  const here = await engine.load(job);
  const there = await threaded.engine.load(job);
  const { byteLength } = initialWeights;
  const buffers = new Map(
    [here, there].map((computer) => [
      computer,
      new Float32Array(computer.allocateBuffer?.(byteLength) ?? new ArrayBuffer(byteLength)),
    ]),
  );
  const times = { here: [] as number[], there: [] as number[] };
  for (let number = 0; number < steps; number++) {
    const hereMs = await step(here, number);
    const thereMs = await step(there, number);
    // Graphs are captured in these pauses.
    if (number < steps / 10) await new Promise((resolve) => setTimeout(resolve, 30));
    else {
      times.here.push(hereMs);
      times.there.push(thereMs);
    }
  }
  here.dispose();
  there.dispose();
  console.log(`the thread adds ${(median(times.there) - median(times.here)).toFixed(3)} ms to ${what}`);
  console.log(`  here ${spread(times.here)} ms, in the thread ${spread(times.there)} ms`);
}
await threaded.close();

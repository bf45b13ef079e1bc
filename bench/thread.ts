// What the engine's thread adds to a gradient step: the same steps in this thread and through that one, in turn, with
// the weights set anew before each. Arguments: [engine = wasm] [steps = 200]
import { dirname, join } from 'node:path';
import type { GradientComputer } from '../shared/engine/engine.ts';
import type { Topology } from '../shared/model/job.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { chooseEngine } from '../worker-node/engine/choose-engine.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import { openThreadedEngine } from '../worker-node/thread/threaded-engine.ts';
import { syntheticShard } from './support/synthetic-shard.ts';
import { median, spread } from './support/statistics.ts';

const [, , choiceText = 'wasm', stepsText = '200'] = process.argv;
const [choice, steps] = [choiceText as EngineChoice, Number(stepsText)];
const file = join(dirname(process.argv[1] ?? ''), '../worker-node/thread/engine-thread.js');

/** Computes next to nothing. */
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

// Preparing a job leaves tfjs on another backend than the engine's.
const cases = await Promise.all(
  (
    [
      ['next to nothing (8 thousand weights), batch 1', 1, tiny],
      ['the default CNN, batch 16', 16, undefined],
    ] as const
  ).map(async ([what, batch, topology]) => {
    return { what, ...(await syntheticShard(batch, topology)) };
  }),
);
const { engine } = await chooseEngine(choice, console.error);
const threaded = await openThreadedEngine({ file, choice, note: console.error });

for (const { what, shard, job, initialWeights } of cases) {
  const step = async (trainer: GradientComputer, number: number): Promise<number> => {
    const room = rooms.get(trainer);
    if (room === undefined) throw new Error('no room for a gradient');
    const startedMs = performance.now();
    trainer.setWeights(initialWeights);
    await trainer.gradient(number as Step, shard, room);
    return performance.now() - startedMs;
  };
  const [here, there] = [await engine.load(job), await threaded.engine.load(job)];
  const { byteLength } = initialWeights;
  const rooms = new Map(
    [here, there].map((trainer) => [
      trainer,
      new Float32Array(trainer.allocateBuffer?.(byteLength) ?? new ArrayBuffer(byteLength)),
    ]),
  );
  const times = { here: [] as number[], there: [] as number[] };
  for (let number = 0; number < steps; number++) {
    const [hereMs, thereMs] = [await step(here, number), await step(there, number)];
    // Graphs are captured in pauses.
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

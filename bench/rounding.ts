// Measures rounding differences between gradients of the same weights and samples, over the first steps of a training: native
// TensorFlow and WebAssembly, each on the whole batch, in two shards, and on half of the batch each, Keras' own ops, and as
// reference the same ops in float64. Uses the MNIST of MNIST_DIR, else synthetic digits. Arguments: [steps = 60]
import { readSamples } from '../shared/data/dataset.ts';
import { storedDataset } from '../test/support/images.ts';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openDataset } from '../coordinator/data/load-dataset.ts';
import { prepareJob } from '../coordinator/model/model.ts';
import { plainReporter } from '../coordinator/report/plain.ts';
import { createOptimizer } from '../coordinator/optimizer/optimizer.ts';
import { batches, epochOrder } from '../coordinator/training/sampler.ts';
import { systemClock } from '../shared/util/clock.ts';
import { shardBytes, viewShard, writeShard, type Shard } from '../shared/data/shard.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import { ShardInputs } from '../shared/engine/shard-inputs.ts';
import type { GradientComputer } from '../shared/engine/engine.ts';
import { layoutOf } from '../shared/model/layout.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { streamReport } from '../worker-node/engine/install/progress.ts';
import { runProgram } from '../worker-node/util/run-program.ts';
import { openThreadedEngine } from '../worker-node/thread/threaded-engine.ts';
import { KERAS, preparePython } from './support/python-environments.ts';
import { decile, median } from './support/statistics.ts';

const steps = Number(process.argv[2] ?? 60);
const BATCH = 128;
const SEED = 1337;
/** Required bound for a mixed run. */
const BOUND = 1e-4;
/** Size of a sample's mask, and rate, of each dropout layer. */
const MASKS: readonly (readonly [size: number, rate: number])[] = [
  [4608, 0.25],
  [128, 0.5],
];

const clock = systemClock(globalThis);
const { signal } = new AbortController();
const data = process.env.MNIST_DIR;
const dataset =
  data === undefined
    ? syntheticDigits({ seed: 1, trainCount: steps * BATCH, testCount: 10 })
    : storedDataset(await openDataset({ data, seed: 1 }, plainReporter(console.error, clock)));
const { job, initialWeights } = await prepareJob(dataset, { batchSize: BATCH, epochs: 1, seed: SEED });
const file = join(dirname(process.argv[1] ?? ''), '../worker-node/thread/engine-thread.js');
const open = async (choice: 'native' | 'wasm'): Promise<GradientComputer> =>
  (await openThreadedEngine({ file, choice, note: console.error })).engine.load(job);
const computers = { native: await open('native'), wasm: await open('wasm') };
type Engine = keyof typeof computers;

const shardOf = (numbers: Uint32Array): Shard => {
  const payload = new Uint8Array(shardBytes(numbers.length, dataset));
  writeShard(payload, readSamples(dataset.train, numbers), dataset);
  return viewShard(payload, numbers.length, dataset);
};
async function gradientOf(weights: Float32Array, step: Step, ...parts: [Engine, Uint32Array][]) {
  const total = new Float32Array(weights.length);
  for (const [engine, numbers] of parts) {
    const gradient = new Float32Array(weights.length);
    computers[engine].setWeights(weights);
    await computers[engine].gradient(step, shardOf(numbers), gradient);
    gradient.forEach((value, i) => (total[i] = (total[i] ?? 0) + value));
  }
  return total;
}
/** Inputs of the float64 reference. */
function inputsOf(weights: Float32Array, step: Step, shard: Shard): Uint8Array {
  const inputs = new ShardInputs(job);
  inputs.prepare(step, shard);
  const masks = MASKS.map(([size, rate], layer) => inputs.mask(layer, rate, size * BATCH));
  return Buffer.concat(
    [weights, ...inputs.values(), ...inputs.targets(), ...masks].map(({ buffer, byteOffset, byteLength }) =>
      Buffer.from(buffer, byteOffset, byteLength),
    ),
  );
}

type Kind = Engine | `${Engine} halves` | 'native and wasm' | 'Keras’ ops' | 'float64';
const found: Map<Kind, Float32Array | Float64Array>[] = [];
const folder = await mkdtemp(join(tmpdir(), 'gradcast-rounding-'));
try {
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const weights = initialWeights.slice();
  const order = batches(epochOrder(SEED, 1, dataset.train.count), BATCH);
  for (const [number, batch] of [...order].slice(0, steps).entries()) {
    const step = number as Step;
    const halves = [batch.subarray(0, BATCH / 2), batch.subarray(BATCH / 2)] as const;
    const gradients = new Map<Kind, Float32Array | Float64Array>();
    // Graphs are captured in this pause after the first step.
    if (number === 1) await new Promise((resolve) => setTimeout(resolve, 3000));
    for (const engine of ['native', 'wasm'] as const) {
      gradients.set(engine, await gradientOf(weights, step, [engine, batch]));
      const [a, b] = halves;
      gradients.set(`${engine} halves`, await gradientOf(weights, step, [engine, a], [engine, b]));
    }
    const mixed = await gradientOf(weights, step, ['native', halves[0]], ['wasm', halves[1]]);
    gradients.set('native and wasm', mixed);
    await writeFile(join(folder, `step-${number}`), inputsOf(weights, step, shardOf(batch)));
    found.push(gradients);
    optimizer.gradientSum.set(gradients.get('native') as Float32Array);
    optimizer.apply({ step, samples: BATCH });
  }
  const report = streamReport(process.stderr, () => performance.now());
  const python = await preparePython(KERAS, report, signal);
  report.print(`${steps} steps in float64`);
  const ran = await runProgram(
    [python, 'bench/baselines/exact_gradient.py', folder, String(steps), String(BATCH)],
    { signal, onLine: (line) => report.update(line) },
  );
  if (ran.code !== 0) throw new Error(`exact_gradient.py: ${ran.lines.slice(-3).join('; ')}`);
  for (const [number, gradients] of found.entries()) {
    for (const [kind, dtype] of [
      ['Keras’ ops', 'float32'],
      ['float64', 'float64'],
    ] as const) {
      const bytes = await readFile(join(folder, `gradient-${number}-${dtype}`));
      gradients.set(kind, new Float64Array(Uint8Array.from(bytes).buffer));
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** Norm of the difference, relative to the norm of `of`. */
function difference(one: ArrayLike<number>, of: ArrayLike<number>): number {
  let differences = 0;
  let squares = 0;
  for (let i = 0; i < of.length; i++) {
    differences += ((one[i] ?? NaN) - (of[i] ?? NaN)) ** 2;
    squares += (of[i] ?? NaN) ** 2;
  }
  return Math.sqrt(differences / squares);
}

console.log(
  `${dataset.name}, ${steps} steps; difference between two gradients, relative to the norm of the second`,
);
for (const [one, of] of [
  ['native halves', 'native'],
  ['wasm halves', 'wasm'],
  ['native and wasm', 'native'],
  ['native and wasm', 'wasm'],
  ['wasm', 'native'],
  ['Keras’ ops', 'float64'],
  ['native', 'float64'],
  ['wasm', 'float64'],
] as const) {
  const all = found.map((gradients) => difference(gradients.get(one) ?? [], gradients.get(of) ?? []));
  const beyond = all.filter((each) => !(each <= BOUND)).length;
  const middle = median(all).toExponential(1);
  const high = decile(all, 9).toExponential(1);
  const largest = Math.max(...all).toExponential(1);
  console.log(
    `${one} / ${of}: median ${middle}, ninth decile ${high}, largest ${largest}; beyond ${BOUND} in ${beyond} of ${steps}`,
  );
}
process.exit(0);

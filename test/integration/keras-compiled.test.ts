import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { prepareRun, type PrepareRunFlags } from '../../coordinator/commands/prepare-run.ts';
import { writeFileAtomic } from '../../coordinator/files/write-file.ts';
import { OPTIMIZER_NAMES } from '../../coordinator/optimizer/hyperparameters.ts';
import { kerasArchive } from '../../coordinator/model-file/save-keras.ts';
import { nameWeights } from '../../coordinator/model-file/weights-file.ts';
import { compileConfigOf } from '../../coordinator/model/compile-export.ts';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import type { StoredDataset } from '../../shared/data/dataset.ts';
import { sliceShard } from '../../shared/data/shard.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import { Scoring } from '../../shared/model/scoring.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { hashedPixels } from '../support/hashed-values.ts';
import { kerasFolder } from '../support/keras-files.ts';
import { recordingReport, tinyTopology } from '../support/test-coordinator.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

/** Figures of test/reference/keras_compiled.py, whose header describes them. */
const { samples, batch, models } = JSON.parse(
  readFileSync(new URL('../reference/keras-compiled.json', import.meta.url), 'utf8'),
) as {
  samples: number;
  batch: number;
  models: Record<string, { first: number; losses: number[]; metrics: Record<string, number> }>;
};

const folder = await kerasFolder();
afterAll(() => folder.remove());

const rows = Float32Array.from(hashedPixels(4 * samples), (byte) => Math.fround(byte / 255));
const rowMean = (_: unknown, i: number): number =>
  Math.fround([0, 1, 2, 3].reduce((sum, c) => sum + rows[4 * i + c]!, 0) / 4);

/** The data of the figures. */
function data(outputs: number): StoredDataset {
  const classes = Int32Array.from({ length: samples }, (_, i) => i % 3);
  const split = {
    inputs: [rows],
    targets: [classes, Float32Array.from({ length: samples }, rowMean)].slice(0, outputs),
    count: samples,
  };
  return {
    name: 'rows',
    description: '',
    inputs: [{ name: 'x', shape: [4], dtype: 'float32' }],
    targets: [
      { name: 'class', shape: [], dtype: 'int32' as const, classes: 3 },
      { name: 'value', shape: [1], dtype: 'float32' as const },
    ].slice(0, outputs),
    train: split,
    test: split,
  };
}

type Settings = Partial<PrepareRunFlags>;

/** Prepares a run of five epochs. */
async function prepare(outputs: number, settings: Settings) {
  const report = recordingReport();
  const given = { data: data(outputs), batchSize: batch, epochs: 5, ...settings };
  return { ...(await prepareRun(given, report, new AbortController().signal)), lines: report.lines };
}

const open = async (name: string) =>
  prepare(/dict|lists/.test(name) ? 2 : 1, { model: await folder.unpack(`compiled-${name}`) });

/** Losses of steps, and metrics of the first one, as a run computes them with the settings of a file. */
async function train(name: string, steps: number, first: number, isAnew = false) {
  const { job, initialWeights, lines, optimizer: continued } = await open(name);
  const anew = createOptimizer({ ...job.optimizer, earlierSteps: undefined }, layoutOf(job.layout));
  const optimizer = isAnew ? anew : continued;
  optimizer.weights.set(initialWeights);
  const scoring = new Scoring(job);
  const { train: split } = data(job.outputs.length);
  const numbers = Uint32Array.from({ length: samples }, (_, i) => i);
  const gradient = new Float32Array(initialWeights.length);
  const computer = await (await wasmEngine()).load(job);
  const losses: number[] = [];
  let metrics: Readonly<Record<string, number>> = {};
  for (let step = 0; step < steps; step++) {
    const from = ((first + step) * batch) % samples;
    computer.setWeights(optimizer.weights);
    const shard = sliceShard({ ...split, sampleNumbers: numbers }, from, from + batch);
    const score = await computer.gradient(step as Step, shard, gradient);
    losses.push(score.lossSum / batch);
    if (step === 0) metrics = scoring.values(score, batch);
    optimizer.gradientSum.set(gradient);
    optimizer.apply({ step, samples: batch });
  }
  computer.dispose();
  return { losses, metrics, lines };
}

/** Largest difference of the losses. */
const difference = (found: readonly number[], expected: readonly number[]): number =>
  Math.max(...found.map((loss, i) => Math.abs(loss - expected[i]!)));

const forms = ['names', 'objects', 'functions', 'dict', 'lists'];
const files = forms.flatMap((form) =>
  [3, 2].flatMap((version) => ['keras', 'h5'].map((ending) => `${form}-${version}.${ending}`)),
);

describe('twenty steps with the settings that a model was compiled with are those of Keras', () => {
  test.each(files)('%s', async (name) => {
    const expected = models[name.replace(/\..*/, '')]!;
    const { losses, metrics } = await train(name, expected.losses.length, 0);
    expect(difference(losses, expected.losses)).toBeLessThan(1e-6);
    for (const [metric, value] of Object.entries(expected.metrics))
      expect(metrics[metric], metric).toBeCloseTo(value, 5);
  });
});

test.each(['trained-3.keras', 'trained-3.h5', 'trained-2.keras', 'trained-2.h5'])(
  'training goes on from the state of the optimizer in %s as in Keras',
  async (name) => {
    const { first, losses: expected, metrics: figures } = models[name.replace(/\..*/, '')]!;
    const { losses, metrics, lines } = await train(name, expected.length, first);
    expect(difference(losses, expected)).toBeLessThan(1e-6);
    expect(metrics.accuracy).toBeCloseTo(figures.accuracy!, 6);
    expect(lines).toContain("The optimizer of the model's file goes on after its 7 steps.");
    const anew = await train(name, expected.length, first, true);
    expect(difference(anew.losses, expected)).toBeGreaterThan(1e-3);
  },
);

describe('a job that is written for Keras and read again is the same job', () => {
  const again = async (name: string) => {
    const { job, initialWeights: weights, weightNames } = await open(name);
    const file = await folder.write('again.keras', '');
    const compiled = compileConfigOf(job, weightNames);
    const named = nameWeights(weights, weightNames, job.layout);
    await writeFileAtomic(file, await kerasArchive(job, named, new Date(), compiled));
    const { job: found } = await prepare(job.outputs.length, { model: file });
    return { job, found };
  };

  test.each(forms.map((form) => `${form}-3.keras`))('%s', async (name) => {
    const { job, found } = await again(name);
    expect(found.optimizer).toEqual(job.optimizer);
    expect(found.outputs).toMatchObject(job.outputs);
  });

  const sgd = (schedule: object) => ({ optimizer: { name: 'sgd', schedule } }) as Settings;
  test.each<[string, Settings]>([
    ...OPTIMIZER_NAMES.map((name): [string, Settings] => [name, { optimizer: { name } }]),
    ['a cosine with a warm-up', sgd({ name: 'cosine', warmupSteps: 3, warmupFrom: 0.001, alpha: 0.1 })],
    ['restarts', sgd({ name: 'cosineRestarts', decaySteps: 4, periodFactor: 3, rateFactor: 0.5 })],
    ['an exponential decay', sgd({ name: 'exponential', decaySteps: 4, staircase: true })],
    ['steps', sgd({ name: 'piecewise', boundaries: [2, 4], rates: [1, 0.5, 0.1] })],
    ['a polynomial', sgd({ name: 'polynomial', power: 2, decaySteps: 7, cycle: true })],
    ['an inverse time decay', sgd({ name: 'inverseTime', decayRate: 2 })],
    [
      'common options',
      {
        optimizer: {
          name: 'adam',
          weightDecay: 0.1,
          globalClipNorm: 2,
          accumulate: 3,
          ema: { momentum: 0.5, overwriteSteps: 4 },
        },
      },
    ],
    [
      'options of losses and metrics',
      {
        loss: { name: 'categorical_crossentropy', labelSmoothing: 0.2, fromLogits: true },
        lossWeights: [0.5],
        metrics: [
          { name: 'precision', threshold: 0.2, label: 'p' },
          { name: 'auc', curve: 'PR', thresholds: 30, weighted: true },
          'log_cosh',
          { name: 'f1_score', average: 'macro' },
          'accuracy',
        ],
      },
    ],
    [
      'a focal loss, overlaps and rates at rates',
      {
        loss: { name: 'categorical_focal_crossentropy', alpha: 0.5, gamma: 1 },
        metrics: [
          { name: 'fbeta_score', average: 'micro', beta: 2, threshold: 0.4 },
          { name: 'r2_score', classAggregation: 'variance_weighted_average' },
          { name: 'binary_io_u', targetClassIds: [1], threshold: 0.3 },
          { name: 'io_u', numClasses: 3, targetClassIds: [0, 2], sparseYPred: false },
          { name: 'mean_io_u', numClasses: 3, ignoreClass: 1, sparseYPred: false, label: 'overlap' },
          { name: 'one_hot_io_u', numClasses: 3, targetClassIds: [1], weighted: true },
          { name: 'one_hot_mean_io_u', numClasses: 3 },
          { name: 'precision_at_recall', recall: 0.5, thresholds: 30 },
          { name: 'recall_at_precision', precision: 0.25, thresholds: 30 },
          { name: 'sensitivity_at_specificity', specificity: 0.5, thresholds: 30 },
          { name: 'specificity_at_sensitivity', sensitivity: 0.5, thresholds: 30 },
        ],
      },
    ],
    [
      'a loss of class numbers and an overlap of them',
      {
        loss: { name: 'categorical_generalized_cross_entropy', q: 0.7 },
        metrics: [{ name: 'mean_io_u', numClasses: 3, sparseYPred: false }],
      },
    ],
  ])('with %s', async (_, more) => {
    const topology = tinyTopology([4], 3);
    const { job, weightNames } = await prepare(1, { model: topology, ...more });
    const written: unknown = JSON.parse(JSON.stringify(compileConfigOf(job, weightNames)));
    const { job: found } = await prepare(1, { model: { ...topology, compile_config: written } });
    expect(found.optimizer).toEqual(job.optimizer);
    const [output, expected] = [found.outputs[0]!, job.outputs[0]!];
    expect(output.loss).toMatchObject(expected.loss);
    expect(output.weight).toBe(expected.weight);
    expect([...output.metrics].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(
      [...expected.metrics].sort((a, b) => (a.name < b.name ? -1 : 1)),
    );
  });
});

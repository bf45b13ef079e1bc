import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Callback } from '../../../coordinator/callbacks/callback.ts';
import { csvLog } from '../../../coordinator/callbacks/csv-log.ts';
import { earlyStopping } from '../../../coordinator/callbacks/early-stopping.ts';
import { callbacksFrom, withoutSecrets } from '../../../coordinator/callbacks/from-options.ts';
import {
  learningRateSchedule,
  reduceLROnPlateau,
  withScheduleOf,
} from '../../../coordinator/callbacks/learning-rate.ts';
import { modelCheckpoint } from '../../../coordinator/callbacks/model-checkpoint.ts';
import { checkMonitors, Monitor } from '../../../coordinator/callbacks/monitor.ts';
import { loadModel } from '../../../coordinator/run/model-folder.ts';
import { METRICS } from '../../../shared/model/metrics.ts';
import { playHistory } from '../../support/callback-run.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';

let dir: string;
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'gradcast-callbacks-'))));
afterEach(() => rm(dir, { recursive: true, force: true }));

const history = { val_loss: [0.5, 0.4, 0.6, 0.7, 0.8], val_accuracy: [0.5, 0.6, 0.7, 0.6, 0.5] };

const MORE_IS_BETTER = [
  'auc',
  'binary_accuracy',
  'binary_io_u',
  'categorical_accuracy',
  'concordance_correlation',
  'cosine_similarity',
  'f1_score',
  'fbeta_score',
  'io_u',
  'mean_io_u',
  'one_hot_io_u',
  'one_hot_mean_io_u',
  'pearson_correlation',
  'precision',
  'precision_at_recall',
  'r2_score',
  'recall',
  'recall_at_precision',
  'sensitivity_at_specificity',
  'sparse_categorical_accuracy',
  'sparse_top_k_categorical_accuracy',
  'specificity_at_sensitivity',
  'top_k_categorical_accuracy',
];

describe('the state of callbacks', () => {
  it('is kept by name in checkpoints, with vectors, also for two of a kind', async () => {
    const kept: unknown[] = [];
    const counter = (): Callback => {
      let state = { count: 0, sums: new Float32Array(2) };
      return {
        onEpochEnd: ({ epoch }) => {
          state = { count: state.count + 1, sums: state.sums.map((sum) => sum + epoch) };
        },
        state: () => state,
        restore: (saved) => {
          kept.push(saved);
          state = saved as typeof state;
        },
      };
    };
    const first = await playHistory([counter(), earlyStopping({ patience: 9 }), counter()], history, {
      until: 3,
    });
    expect(first.states).toMatchObject({
      learningRate: null,
      states: { earlyStopping: { wait: 1, best: 0.4, bestEpoch: 2 }, 'callback 3': { count: 3 } },
    });
    const { states } = first;
    await playHistory([counter(), counter()], history, { from: 3, states });
    expect(kept).toEqual([{ count: 3, sums: Float32Array.of(6, 6) }]);
  });

  it('gives a second callback of a name a number', async () => {
    const [loss, accuracy] = [
      earlyStopping({ patience: 9 }),
      earlyStopping({ monitor: 'val_accuracy', patience: 9 }),
    ];
    const { states } = await playHistory([loss, accuracy], history);
    expect(states?.states).toMatchObject({
      earlyStopping: { best: 0.4 },
      'earlyStopping 2': { best: 0.7 },
    });
  });

  it('that no callback takes costs a warning that names it', async () => {
    const { states } = await playHistory([earlyStopping({ patience: 9 })], history, { until: 2 });
    const { lines } = await playHistory([], history, { from: 2, states });
    expect(lines[0]).toMatch(/^! The run was started with earlyStopping, and is resumed without/);
  });

  it('that is damaged ends the run with the name of its callback', async () => {
    const states = { learningRate: null, states: { earlyStopping: { wait: -1 } } };
    await expect(playHistory([earlyStopping()], history, { from: 2, states })).rejects.toThrow(
      'The callback earlyStopping failed: ',
    );
  });
});

describe('early stopping', () => {
  it('says why it ends a run, and which weights the model has', async () => {
    const { list, lines, weight } = await playHistory(
      [earlyStopping({ patience: 2, restoreBestWeights: true })],
      history,
    );
    expect(list.stopReason).toBe('val_loss has not improved for 2 epochs');
    expect(lines).toEqual(['The saved model has the weights of epoch 2, the best one.']);
    expect(weight).toBe(2);
    expect(list.finalModel).toMatchObject({ epoch: 2, scores: { val_loss: 0.4, val_accuracy: 0.6 } });
  });

  it('that ended a run ends it again when it is resumed, unless it has more patience', async () => {
    const { states, epochs } = await playHistory([earlyStopping({ patience: 1 })], history);
    expect(epochs).toBe(3);
    const again = await playHistory([earlyStopping({ patience: 1 })], history, { from: 3, states });
    expect(again.epochs).toBe(3);
    const patient = await playHistory([earlyStopping({ patience: 3 })], history, { from: 3, states });
    expect(patient.epochs).toBe(5);
  });

  it('is refused before a run that does not compute its metric', () => {
    const known = [
      earlyStopping(),
      modelCheckpoint({ monitor: 'val_accuracy', saveBestOnly: true }),
      csvLog('a'),
    ];
    expect(() => checkMonitors(known, exampleJob)).not.toThrow();
    for (const callback of [
      earlyStopping({ monitor: 'val_auc' }),
      modelCheckpoint({ monitor: 'val_auc', saveBestOnly: true }),
    ]) {
      expect(() => checkMonitors([...known, callback], exampleJob)).toThrow(
        `${callback.name} monitors val_auc, but the run computes loss, accuracy, and`,
      );
    }
  });

  it('suggests the metric of the run that a mistyped one is near to', () => {
    expect(() => checkMonitors([earlyStopping({ monitor: 'vla_accuracy' })], exampleJob)).toThrow(
      "that of the test data. Did you mean 'val_accuracy'? Add the metric",
    );
    expect(() => earlyStopping({ monitor: 'val_acuracy' })).toThrow(
      "cannot tell whether a larger val_acuracy is better. Did you mean 'val_accuracy'? Add mode",
    );
  });

  it('refuses a metric that the run does not have, and options that it cannot take', async () => {
    await expect(playHistory([earlyStopping({ monitor: 'val_auc' })], history)).rejects.toThrow(
      'earlyStopping monitors val_auc, which the run does not have. It has loss, val_loss, val_accuracy.',
    );
    expect(() => earlyStopping({ patience: -1 })).toThrow('patience of earlyStopping must be a whole number');
    expect(() => earlyStopping({ monitor: 'true_positives' })).toThrow("Add mode: 'max' or mode: 'min'");
    expect(() => earlyStopping({ mode: 'maximum' as 'max' })).toThrow('has no mode maximum');
    expect(() => earlyStopping({ minDelta: NaN })).toThrow('minDelta of earlyStopping');
  });

  it('knows the direction of every metric of which Keras knows it', () => {
    const directionOf = (monitor: string): string => {
      try {
        return new Monitor('test', { monitor }).isImprovement(2, 1) ? 'up' : 'down';
      } catch {
        return 'none';
      }
    };
    const names = Object.keys(METRICS);
    const withDirection = (direction: string): string[] =>
      names.filter((name) => directionOf(`val_output_${name}`) === direction).sort();
    expect(withDirection('none')).toEqual([
      ...['false_negatives', 'false_positives', 'true_negatives', 'true_positives'],
    ]);
    // _direction of Keras' classes is up for these, and down for losses and errors.
    expect(withDirection('up')).toEqual(MORE_IS_BETTER);
    expect(withDirection('down')).toHaveLength(names.length - 4 - MORE_IS_BETTER.length);
    for (const name of ['acc', 'auc_1', 'iou']) expect(directionOf(`val_${name}`)).toBe('up');
    for (const name of ['loss', 'mae', 'label_loss']) expect(directionOf(`val_${name}`)).toBe('down');
  });
});

describe('a callback that replaces the model', () => {
  it('chooses the weights that the run saves', async () => {
    const average: Callback = {
      onTrainEnd: ({ model }) => model.replace(model.weights().map((weight) => weight / 2)),
    };
    const { list, weight } = await playHistory([average], history);
    expect(weight).toBe(2.5);
    expect(list.finalModel).toMatchObject({ epoch: 5, scores: null });
    const wrong: Callback = { onTrainEnd: ({ model }) => model.replace(new Float32Array(2)) };
    await expect(playHistory([wrong], history)).rejects.toThrow('The model has 6 weights; 2 were passed');
  });
});

describe('model checkpoints', () => {
  it('are models with the weights and scores of their epoch, in the folder of the run', async () => {
    await playHistory([modelCheckpoint({ saveBestOnly: true })], history, { runDir: dir });
    const { weights, metadata } = await loadModel(join(dir, 'best'));
    expect([...weights]).toEqual(Array(6).fill(2));
    expect(metadata).toMatchObject({ epochs: 2, val_loss: 0.4, val_accuracy: 0.6, dataDescription: 'made' });
  });

  it('are written every few steps, with values in their names', async () => {
    const path = join(dir, 'step-{step:03d}-{loss:.2f}');
    await playHistory([modelCheckpoint({ path, everySteps: 4 })], history);
    expect((await loadModel(join(dir, 'step-004-0.25'))).weights[0]).toBe(2);
    expect((await loadModel(join(dir, 'step-008-0.13'))).weights[0]).toBe(4);
  });

  it('name a value in the path that there is not, and warn once of a folder that cannot be written', async () => {
    await expect(playHistory([modelCheckpoint({ path: join(dir, '{auc}') })], history)).rejects.toThrow(
      'The path of modelCheckpoint has {auc}, which the run does not have.',
    );
    expect(() => modelCheckpoint({ path: '{loss:5.2}' })).toThrow('{loss:5.2} in the path');
    expect(() => modelCheckpoint({ saveBestOnly: true, everySteps: 2 })).toThrow(
      'saveBestOnly or everySteps',
    );
    await writeFile(join(dir, 'file'), '');
    const path = join(dir, 'file', 'model');
    const { lines, epochs } = await playHistory([modelCheckpoint({ path })], history);
    expect(epochs).toBe(5);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^! The model of epoch 1 is not saved: .*file/);
  });
});

describe('a CSV log', () => {
  it('quotes names, keeps the columns of its file, and refuses a separator that numbers contain', async () => {
    const path = join(dir, 'sub', 'log.csv');
    await playHistory([csvLog(path, { separator: ';' })], { 'a;b': [1, 2], val_loss: [3, 4] });
    await playHistory([csvLog(path, { separator: ';', append: true })], { val_loss: [5], other: [6] });
    expect(await readFile(path, 'utf8')).toBe(
      'epoch;"a;b";loss;val_loss\r\n0;1;NaN;3\r\n1;2;NaN;4\r\n0;NA;NaN;5\r\n',
    );
    expect(() => csvLog(path, { separator: '.' })).toThrow('separator of csvLog');
  });
});

describe('callbacks of the learning rate', () => {
  it('are a schedule of the optimizer', () => {
    expect(withScheduleOf([], { name: 'adam' }, false)).toEqual({ name: 'adam' });
    expect(withScheduleOf([learningRateSchedule('cosine')], undefined, false)).toEqual({
      name: 'adadelta',
      schedule: { name: 'cosine' },
    });
    expect(withScheduleOf([reduceLROnPlateau({ patience: 2 })], undefined, true)).toEqual({
      schedule: { name: 'plateau', patience: 2 },
    });
  });

  it('are refused if two set it', () => {
    const schedule = { name: 'cosine' } as const;
    expect(() => withScheduleOf([reduceLROnPlateau()], { name: 'adam', schedule }, false)).toThrow(
      "The callback reduceLROnPlateau and the optimizer's schedule both set the learning rate.",
    );
    expect(() =>
      withScheduleOf([reduceLROnPlateau(), learningRateSchedule('cosine')], undefined, false),
    ).toThrow(
      'The callback reduceLROnPlateau and the callback learningRateSchedule both set the learning rate.',
    );
  });

  it('refuse a rate that is no number', async () => {
    await expect(playHistory([learningRateSchedule(() => NaN)], history)).rejects.toThrow(
      'The learning rate of epoch 1 must be a number of at least 0, not NaN.',
    );
  });
});

describe('options of the command line', () => {
  it('make callbacks, and are recorded without secrets', () => {
    const options = {
      earlyStopping: { patience: 3 },
      saveBest: 'val_accuracy',
      csvLog: 'log.csv',
      tensorboard: 'logs',
      webhook: 'https://example.com/s3cret-path',
      webhookSecret: 's3cret',
    };
    expect(callbacksFrom(options).map(({ name }) => name)).toEqual([
      ...['csvLog', 'tensorBoard', 'modelCheckpoint', 'webhook', 'earlyStopping'],
    ]);
    expect(callbacksFrom({})).toEqual([]);
    expect(JSON.stringify(withoutSecrets(options))).not.toContain('s3cret');
    expect(() => callbacksFrom({ webhookSecret: 'x' })).toThrow('--webhook-secret needs --webhook');
  });
});

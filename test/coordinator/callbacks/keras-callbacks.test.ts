import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Callback } from '../../../coordinator/callbacks/callback.ts';
import { csvLog } from '../../../coordinator/callbacks/csv-log.ts';
import { earlyStopping } from '../../../coordinator/callbacks/early-stopping.ts';
import { learningRateSchedule, reduceLROnPlateau } from '../../../coordinator/callbacks/learning-rate.ts';
import { modelCheckpoint } from '../../../coordinator/callbacks/model-checkpoint.ts';
import { playHistory, type History } from '../../support/callback-run.ts';

interface Case<Result> {
  readonly options: Readonly<Record<string, unknown>>;
  readonly history: string;
  readonly result: Result;
}

const reference = JSON.parse(
  readFileSync(new URL('../../reference/keras-callbacks.json', import.meta.url), 'utf8'),
) as {
  readonly histories: Readonly<Record<string, History>>;
  readonly earlyStopping: Case<{ epochs: number; weight: number }>[];
  readonly modelCheckpoint: Case<number[]>[];
  readonly reduceLROnPlateau: Case<number[]>[];
  readonly learningRateScheduler: number[];
  readonly csv: string;
};

const KEYS: Readonly<Record<string, string>> = {
  min_delta: 'minDelta',
  restore_best_weights: 'restoreBestWeights',
  start_from_epoch: 'startFromEpoch',
  save_best_only: 'saveBestOnly',
  initial_value_threshold: 'baseline',
  min_lr: 'minLearningRate',
};
/** Options of a case with their names here. */
const named = ({ options }: Case<unknown>): object =>
  Object.fromEntries(Object.entries(options).map(([key, value]) => [KEYS[key] ?? key, value]));
const historyOf = ({ history }: Case<unknown>): History => reference.histories[history]!;
const title = ({ options, history }: Case<unknown>): string => `${JSON.stringify(options)} on ${history}`;

let dir: string;
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'gradcast-callbacks-'))));
afterEach(() => rm(dir, { recursive: true, force: true }));

/** Callback that records the learning rate in the logs of each epoch. */
function recordRates(): { readonly rates: number[]; readonly callback: Callback } {
  const rates: number[] = [];
  return { rates, callback: { onEpochEnd: ({ logs }) => void rates.push(logs.learning_rate ?? NaN) } };
}

describe('callbacks do what those of Keras 3.15 do', () => {
  it.each(reference.earlyStopping.map((each) => [title(each), each] as const))(
    'early stopping %s ends after the same epoch, with the same weights',
    async (_, each) => {
      const { epochs, weight } = await playHistory([earlyStopping(named(each))], historyOf(each));
      expect({ epochs, weight }).toEqual(each.result);
    },
  );

  it('early stopping that is resumed after any epoch ends as an uninterrupted one does', async () => {
    for (const each of reference.earlyStopping) {
      for (const until of [1, 2, 3, 5, 8]) {
        const callbacks = () => [earlyStopping(named(each))];
        const first = await playHistory(callbacks(), historyOf(each), { until });
        const { states } = first;
        const { epochs, weight } = await playHistory(callbacks(), historyOf(each), {
          from: first.epochs,
          states,
        });
        expect({ epochs, weight }, `${title(each)}, resumed after epoch ${first.epochs}`).toEqual(
          each.result,
        );
      }
    }
  });

  it.each(reference.modelCheckpoint.map((each) => [title(each), each] as const))(
    'model checkpoints %s are of the same epochs',
    async (_, each) => {
      await playHistory(
        [modelCheckpoint({ ...named(each), path: join(dir, '{epoch:02d}') })],
        historyOf(each),
      );
      expect((await readdir(dir)).sort().map(Number)).toEqual(each.result);
    },
  );

  it.each(reference.reduceLROnPlateau.map((each) => [title(each), each] as const))(
    'a plateau %s has the same learning rates',
    async (_, each) => {
      const { rates, callback } = recordRates();
      await playHistory([reduceLROnPlateau(named(each)), callback], historyOf(each));
      expect(rates).toEqual(each.result);
    },
  );

  it('a function of the epoch sets the same learning rates, also after it was resumed', async () => {
    const schedule = () => learningRateSchedule((epoch, rate) => (epoch < 4 ? rate : rate * 0.5));
    const history = reference.histories.flat!;
    const whole = recordRates();
    await playHistory([schedule(), whole.callback], history);
    expect(whole.rates).toEqual(reference.learningRateScheduler);
    const [first, second] = [recordRates(), recordRates()];
    const { states } = await playHistory([schedule(), first.callback], history, { until: 6 });
    await playHistory([schedule(), second.callback], history, { from: 6, states });
    expect([...first.rates, ...second.rates]).toEqual(reference.learningRateScheduler);
  });

  it('the CSV file has the same bytes, also after it was resumed', async () => {
    const history = reference.histories.valley!;
    const keepOnly = (name: string): boolean => name in history;
    const path = join(dir, 'log.csv');
    await playHistory([onlyLogs(csvLog(path), keepOnly)], history);
    expect(await readFile(path, 'utf8')).toBe(reference.csv);
    // A process that was killed has written epochs that are repeated.
    await playHistory([onlyLogs(csvLog(path), keepOnly)], history, { until: 9 });
    await playHistory([onlyLogs(csvLog(path), keepOnly)], history, { from: 6 });
    expect(await readFile(path, 'utf8')).toBe(reference.csv);
  });
});

/** Callback that gets only some of the logs: the history of Keras has no training loss. */
const onlyLogs = (callback: Callback, isKept: (name: string) => boolean): Callback => ({
  ...callback,
  onEpochEnd: ({ logs, ...context }) =>
    callback.onEpochEnd?.({
      ...context,
      logs: Object.fromEntries(Object.entries(logs).filter(([name]) => isKept(name))),
    }),
});

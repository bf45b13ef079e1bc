import { expect, describe, it } from 'vitest';
import { plotColumns, smoothValues } from '../../../worker-browser/page/curves.ts';
import { renderPicture, drawableSize, sampleDigit } from '../../../worker-browser/page/drawing.ts';
import { formatBytes, formatDuration, formatRate } from '../../../worker-browser/page/format.ts';
import {
  reduceRun,
  MAX_POINTS,
  initialRunState,
  mergeToLength,
  type RunEvent,
} from '../../../worker-browser/page/run-state.ts';
import { createRunView } from '../../../worker-browser/page/run-view.ts';
import { loadShare, saveShare } from '../../../worker-browser/page/environment.ts';
import type { Job } from '../../../shared/model/job.ts';
import type {
  CurvePoint,
  EpochRecord,
  FromCoordinator,
  ProgressMessage,
  RunMessage,
  WorkerRow,
} from '../../../shared/protocol/messages.ts';

const job = {
  epochs: 12,
  seed: 1,
  data: { name: 'mnist', sampleShape: [28, 28, 1], classes: 10 },
} as unknown as Job;
const point = (step: number, loss = 1, steps = 1): CurvePoint => ({ step, steps, loss, accuracy: 0.5 });
const started = (curve: CurvePoint[] = [], of: Job = job): RunMessage => ({
  type: 'run',
  protocol: 1,
  job: of,
  steps: 100,
  curve,
  epochs: [],
});
const record: EpochRecord = {
  epoch: 1,
  loss: 0.5,
  accuracy: 0.8,
  val_loss: 0.4,
  val_accuracy: 0.9,
  seconds: 10,
  samples_per_second: 1,
  workers: 1,
  data: 'mnist',
};
const worker = (id: string, more: Partial<WorkerRow> = {}): WorkerRow => ({
  id,
  name: `worker ${id}`,
  backend: 'wasm',
  device: 'CPU',
  share: 0.5,
  samples: 100,
  samplesPerSecond: 400,
  computeMs: 50,
  turnaroundMs: 200,
  rttMs: null,
  bytesUp: 2_400_000,
  bytesDown: 0,
  ...more,
});
const progress = (more: Partial<ProgressMessage> = {}): ProgressMessage => ({
  type: 'progress',
  epoch: 2,
  step: 20,
  loss: 0.25,
  accuracy: 0.93,
  samplesPerSecond: 1234,
  etaSeconds: 61,
  curve: [],
  workers: [],
  slowest: null,
  ...more,
});
const told = (message: FromCoordinator): RunEvent => ({ type: 'message', message });
const after = (...events: RunEvent[]) =>
  events.reduce((state, event) => reduceRun(state, event), initialRunState);

describe('what the page knows of the run', () => {
  it('adds what is new to what has been', () => {
    const run = after(
      told(started([point(1), point(2)])),
      told(progress({ curve: [point(2), point(3)] })),
      told({ type: 'epoch', record }),
    );
    expect(run.curve.map(({ step }) => step)).toEqual([1, 2, 3]);
    expect(run.epochs).toEqual([record]);
    expect(run.link.type).toBe('live');
  });

  it('keeps the last figures while the coordinator is away, and says so', () => {
    const lost = [{ type: 'lost', reason: 'no answer' }, { type: 'connecting' }] as const;
    const view = createRunView(after(told(started()), told(progress()), ...lost));
    expect(view.linkNote).toBe(
      'Connection lost (no answer). These are the last figures; they update when it is back.',
    );
    expect(view.loss).toBe('0.250');
    // There are no last figures before the first.
    expect(createRunView(after(...lost)).linkNote).toBe('No figures yet: no answer.');
  });

  it('leaves what is to be said of a missing token to the field for it', () => {
    expect(createRunView(after({ type: 'locked' })).linkNote).toBe('');
  });

  it('tells the same run from another one', () => {
    const before = told(started([point(1), point(2)]));
    expect(after(before, told(started([point(1), point(2), point(3)]))).restarted).toBe(false);
    expect(after(before, told(started([]))).restarted).toBe(true);
    expect(after(before, told(started([point(5)], { ...job, seed: 2 }))).restarted).toBe(true);
  });

  it('thins a long curve, means and steps kept', () => {
    const curve = Array.from({ length: MAX_POINTS + 1 }, (_, i) => point(i + 1, i % 2));
    const thin = mergeToLength(curve, MAX_POINTS);
    expect(thin.length).toBeLessThanOrEqual(MAX_POINTS);
    expect(thin[0]).toEqual({ step: 2, steps: 2, loss: 0.5, accuracy: 0.5 });
    expect(thin.reduce((sum, { steps }) => sum + steps, 0)).toBe(curve.length);
    expect(thin.at(-1)?.step).toBe(curve.length);
  });
});

describe('what the page shows of the run', () => {
  it('says where the epoch stands', () => {
    expect(createRunView(after(told(started()), told(progress())))).toMatchObject({
      headline: 'Training together on mnist',
      epoch: 'Epoch 2 of 12 · step 20 of 100',
      eta: 'about 1 min left of this epoch',
      epochProgress: 0.2,
      accuracy: '93%',
      speed: '1,234',
    });
    expect(createRunView(initialRunState)).toMatchObject({
      epoch: 'Waiting for the run',
      loss: '–',
      rows: [],
    });
  });

  it('measures on the test data between the last step of an epoch and its record, and not after that', () => {
    const measuring = [told(started()), told(progress({ epoch: 1, step: 100 }))];
    expect(createRunView(after(...measuring)).eta).toBe('measuring on the test data');
    expect(createRunView(after(...measuring, told({ type: 'epoch', record }))).eta).toBe('');
    const finished = told({ type: 'finished', reason: 'The run was stopped.' });
    expect(createRunView(after(...measuring, finished)).eta).toBe('');
  });

  it('says how a run has ended', () => {
    const end = (epochs: number, ...events: RunEvent[]) =>
      createRunView(
        after(
          told(started([], { ...job, epochs })),
          ...events,
          told({ type: 'finished', reason: 'The run was stopped.' }),
        ),
      ).linkNote;
    const epoch = told({ type: 'epoch', record });
    expect(end(1, epoch)).toBe('Finished: validation accuracy 90%. A new run will show up here.');
    expect(end(2, epoch)).toBe('The run was stopped. Validation accuracy 90%. A new run will show up here.');
    expect(end(2)).toBe('The run was stopped. A new run will show up here.');
  });

  it('shows of this tab what its row shows, and its samples when it has left', () => {
    const me = worker('me', { samples: 718, samplesPerSecond: 48, share: 1 });
    const events = [
      told(started()),
      { type: 'own', id: 'me' },
      told(progress({ workers: [me], slowest: { id: 'me', cause: 'compute' } })),
    ] as const;
    const view = createRunView(after(...events));
    expect(view).toMatchObject({ ownSpeed: '48', ownShare: '100%', ownSamples: '718', slowestWorker: '' });
    expect(view.rows).toMatchObject([
      { own: true, speed: '48', share: '100%', samples: '718', slowest: false },
    ]);
    const left = [{ type: 'own', id: null }, told(progress())] as const;
    expect(createRunView(after(...events, ...left))).toMatchObject({ ownSpeed: '–', ownSamples: '718' });
    expect(createRunView(after(...events, ...left, { type: 'own', id: 'again' })).ownSamples).toBe('–');
  });

  it('counts the samples of this tab to the end, also where it hears of the end before the last figures', () => {
    const mine = (samples: number) => told(progress({ workers: [worker('me', { samples })] }));
    const shown = (...events: RunEvent[]): string =>
      createRunView(after(told(started()), ...events)).ownSamples;
    const joined: RunEvent = { type: 'own', id: 'me' };
    const left: RunEvent = { type: 'own', id: null };
    expect(shown(joined, mine(0), left, mine(640))).toBe('640');
    expect(shown(joined, left, mine(640))).toBe('640');
    expect(shown(mine(640), joined)).toBe('640');
  });

  it('puts this tab first, then whom all wait for, and says why', () => {
    const workers = [worker('a', { samples: 999 }), worker('b'), worker('me', { samples: 1 })];
    const show = (slowest: ProgressMessage['slowest']) =>
      createRunView(after(told(started()), { type: 'own', id: 'me' }, told(progress({ workers, slowest }))));
    const view = show({ id: 'b', cause: 'link' });
    expect(view.rows.map(({ id }) => id)).toEqual(['me', 'b', 'a']);
    expect(view.rows[1]).toMatchObject({ slowest: true, own: false, link: '2.4\u00a0MB, 0\u00a0B' });
    const times = '200\u00a0ms per step (50\u00a0ms compute).';
    expect(view.slowestWorker).toBe(`Slowest worker: worker b, ${times}`);
    expect(show({ id: 'me', cause: 'compute' }).slowestWorker).toBe(`Slowest worker: this tab, ${times}`);
    expect(view).toMatchObject({ workersTitle: '3 workers', ownShare: '50%' });
  });

  it('says what would help, how vectors travel, and who does not take part', () => {
    const workers = [worker('a', { codecs: 'int8/int8' })];
    const notices = [
      { what: 'refused', reason: 'No token.', times: 3 },
      { what: 'banned', who: 'eve', reason: 'Its gradients are not those of two others.', times: 1 },
    ] as const;
    const advice = 'A second worker like a would bring 1.6 x.';
    const news = told(progress({ workers, advice, notices: [...notices] }));
    const view = createRunView(after(told(started()), news));
    expect(view).toMatchObject({
      advice,
      // What a refused worker is told names options of the command line, which visitors have no use for.
      notices: '3 connections were refused.\nHad to go: eve: Its gradients are not those of two others.',
    });
    expect(view.rows[0]?.link).toMatch(/B, int8\/int8$/);
    expect(createRunView(initialRunState)).toMatchObject({ advice: '', notices: '' });
  });

  it('says that no workers are connected once it knows', () => {
    expect(createRunView(after(told(started()))).workersTitle).toBe('Workers');
    expect(createRunView(after(told(started()), told(progress()))).workersTitle).toBe('No workers connected');
  });

  it('shows no more rows than anybody reads', () => {
    const workers = Array.from({ length: 200 }, (_, i) => worker(String(i)));
    const view = createRunView(after(told(started()), told(progress({ workers }))));
    expect(view.rows).toHaveLength(60);
    expect(view.hiddenRows).toBe('and 140 more');
  });

  it('writes bytes and times as people do', () => {
    expect([formatBytes(0), formatBytes(999), formatBytes(2_400_000), formatBytes(42e9)]).toEqual(
      ['0 B', '999 B', '2.4 MB', '42 GB'].map((text) => text.replace(' ', '\u00a0')),
    );
    expect([formatRate(1e300), formatDuration(1e300)].every((text) => text.length < 40)).toBe(true);
    expect([formatDuration(0.2), formatDuration(90), formatDuration(7_500)]).toEqual([
      '1 s',
      '2 min',
      '2 h 5 min',
    ]);
  });
});

describe('curves', () => {
  it("stand over steps, an epoch's validation at its last step", () => {
    const columns = plotColumns('loss', 'step', [point(1, 2), point(2, 1)], [record], 2);
    expect(columns).toEqual([
      [1, 2],
      [2, 1],
      [2, expect.closeTo(2 - 1 / 1.1)],
      [null, 0.4],
    ]);
  });

  it('have a gap where a loss is infinite', () => {
    const curve = [point(1, 2), point(2, Infinity), point(3, 2)];
    expect(plotColumns('loss', 'step', curve, [{ ...record, val_loss: Infinity }], 4)).toEqual([
      [1, 3, 4],
      [2, 2, null],
      [2, 2, null],
      [null, null, null],
    ]);
  });

  it('stand over epochs', () => {
    expect(plotColumns('accuracy', 'epoch', [point(1)], [record], 2)).toEqual([[1], [null], [0.8], [0.9]]);
  });

  it('are smoothed without leaving the values', () => {
    const smooth = smoothValues(Array.from({ length: 500 }, (_, i) => i % 2));
    expect(smooth.at(-1)).toBeGreaterThan(0.4);
    expect(smooth.at(-1)).toBeLessThan(0.6);
    expect(smoothValues([])).toEqual([]);
  });
});

describe('a drawing', () => {
  const centre = (image: Uint8Array, of: (i: number) => number): number => {
    const mass = image.reduce((sum, ink) => sum + ink, 0);
    return image.reduce((sum, ink, i) => sum + ink * of(i), 0) / mass;
  };

  it('becomes a picture as MNIST has them: its mass in the middle, within a box of 20', () => {
    // A small 7 in a corner.
    const image = renderPicture([[0.05, 0.05, 0.2, 0.05, 0.1, 0.3]], 28, 28);
    if (image === null) throw new Error('nothing was drawn');
    expect(centre(image, (i) => (i % 28) + 0.5)).toBeCloseTo(14, 0);
    expect(centre(image, (i) => Math.floor(i / 28) + 0.5)).toBeCloseTo(14, 0);
    const rows = [...image].flatMap((ink, i) => (ink > 127 ? [Math.floor(i / 28)] : []));
    const height = Math.max(...rows) - Math.min(...rows) + 1;
    expect(height).toBeGreaterThanOrEqual(18);
    expect(height).toBeLessThanOrEqual(21);
  });

  it('may be a dot, or nothing', () => {
    expect(Math.max(...(renderPicture([[0.5, 0.5]], 28, 28) ?? []))).toBeGreaterThan(200);
    expect(renderPicture([], 28, 28)).toBeNull();
  });

  it('is offered for pictures with one channel only', () => {
    const size = (...sampleShape: number[]) => drawableSize({ ...job, data: { ...job.data, sampleShape } });
    expect(size(28, 28, 1)).toEqual({ height: 28, width: 28 });
    expect([size(32, 32, 3), size(784), size(4, 4, 1), size(1e9, 1e9, 1)]).toEqual([null, null, null, null]);
  });

  it.each(Array.from({ length: 10 }, (_, digit) => digit))('has a sample of %i inside its box', (digit) => {
    const points = sampleDigit(digit, 3).flat();
    expect(Math.min(...points)).toBeGreaterThan(0);
    expect(Math.max(...points)).toBeLessThan(1);
  });
});

it('remembers the share of time, where the browser lets it', () => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
  expect(loadShare(() => storage)).toBe('100');
  saveShare(() => storage, '25');
  expect(loadShare(() => storage)).toBe('25');
  saveShare(() => storage, '7');
  expect(loadShare(() => storage)).toBe('100');
  const locked = (): never => {
    throw new Error('SecurityError');
  };
  expect(loadShare(locked)).toBe('100');
  expect(() => saveShare(locked, '25')).not.toThrow();
});

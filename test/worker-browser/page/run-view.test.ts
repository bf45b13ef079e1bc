import { describe, expect, it } from 'vitest';
import type { ProgressMessage, WorkerRow } from '../../../shared/protocol/messages.ts';
import { initialRunState, type RunEvent } from '../../../worker-browser/page/run-state.ts';
import { createRunView } from '../../../worker-browser/page/run-view.ts';
import { job, progress, received, record, runMessage, stateAfter, worker } from './run-fixtures.ts';

describe('what the page shows of the run', () => {
  it('keeps the last figures while the connection is lost, and says so', () => {
    const lost = [{ type: 'lost', reason: 'no answer' }, { type: 'connecting' }] as const;
    const view = createRunView(stateAfter(received(runMessage()), received(progress()), ...lost));
    expect(view.linkNote).toBe(
      'Connection lost (no answer). These are the last figures; they update when it is back.',
    );
    expect(view.loss).toBe('0.250');
    // There are no last figures before the first.
    expect(createRunView(stateAfter(...lost)).linkNote).toBe('No figures yet: no answer.');
  });

  it('says nothing about a missing token, for which the card of the tab asks', () => {
    expect(createRunView(stateAfter({ type: 'locked', reason: 'This run needs a token.' })).linkNote).toBe(
      '',
    );
  });

  it('shows the progress of the epoch', () => {
    expect(createRunView(stateAfter(received(runMessage()), received(progress())))).toMatchObject({
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
      table: { workers: [], ownId: null, slowestId: undefined },
    });
  });

  it('lists all metrics if there are several, and shows the one that is chosen', () => {
    const metrics = { a_loss: 0.7, a_accuracy: 0.5, b_mae: 0.25 };
    const last = { ...record, val_a_loss: 0.6, val_a_accuracy: 0.4, val_b_mae: 0.3 };
    const state = stateAfter(
      received(runMessage()),
      received({ type: 'epoch', record: last }),
      received(progress({ metrics })),
    );
    const view = createRunView(state);
    expect(view).toMatchObject({ metricTitle: 'A accuracy', accuracy: '50%', valAccuracy: '40%' });
    expect(view.metricRows).toEqual([
      { name: 'a_loss', title: 'A loss', value: '0.700', validation: '0.600', isShown: false },
      { name: 'a_accuracy', title: 'A accuracy', value: '50%', validation: '40%', isShown: true },
      { name: 'b_mae', title: 'B MAE', value: '0.250', validation: '0.300', isShown: false },
    ]);
    const chosen = createRunView(state, 'b_mae');
    expect(chosen).toMatchObject({ metricTitle: 'B MAE', accuracy: '0.250', valAccuracy: '0.300' });
    expect(chosen.metricRows.map(({ isShown }) => isShown)).toEqual([false, false, true]);
    // A metric of another run.
    expect(createRunView(state, 'auc').metricTitle).toBe('A accuracy');
    expect(createRunView(stateAfter(received(progress()))).metricRows).toEqual([]);
  });

  it('shows the evaluation between the last step of an epoch and its record, and not after that', () => {
    const evaluating = [received(runMessage()), received(progress({ epoch: 1, step: 100 }))];
    expect(createRunView(stateAfter(...evaluating)).eta).toBe('evaluating on the test data');
    expect(createRunView(stateAfter(...evaluating, received({ type: 'epoch', record }))).eta).toBe('');
    const finished = received({ type: 'finished', reason: 'The run was stopped.' });
    expect(createRunView(stateAfter(...evaluating, finished)).eta).toBe('');
  });

  it('says before the first step what the run waits for, and shows no figures', () => {
    const none = {
      epoch: 0,
      step: 0,
      loss: null,
      metrics: {},
      samplesPerSecond: 0,
      etaSeconds: null,
      workers: [],
    };
    const view = (...workers: WorkerRow[]) =>
      createRunView(stateAfter(received(runMessage()), received(progress({ ...none, workers }))));
    expect(view()).toMatchObject({
      epoch: 'Not started yet',
      eta: 'The run begins with the first worker.',
      speed: '–',
      drawingHint: expect.stringContaining('from its first step on') as string,
    });
    expect(view(worker('a')).eta).toBe('');
    const resumed = stateAfter(
      received({ ...runMessage(), epochs: [record] }),
      received(progress({ ...none, workers: [] })),
    );
    expect(createRunView(resumed)).toMatchObject({ epoch: '1 of 12 epochs done', eta: '' });
  });

  it('names the row of this tab also after the end of the run, when the tab has left', () => {
    const events = [
      received(runMessage()),
      { type: 'ownId', id: 'own' },
      received(progress({ workers: [worker('own')] })),
      { type: 'ownId', id: null },
    ] as const;
    expect(createRunView(stateAfter(...events)).table.ownId).toBeNull();
    const finished = received({ type: 'finished', reason: 'done' });
    expect(createRunView(stateAfter(...events, finished)).table.ownId).toBe('own');
  });

  it('says how a run has ended', () => {
    const end = (epochs: number, ...events: RunEvent[]) =>
      createRunView(
        stateAfter(
          received(runMessage([], { ...job, epochs })),
          ...events,
          received({ type: 'finished', reason: 'The run was stopped.' }),
        ),
      ).linkNote;
    const epoch = received({ type: 'epoch', record });
    expect(end(1, epoch)).toBe('Finished: validation accuracy 90%. A new run will show up here.');
    expect(end(2, epoch)).toBe('The run was stopped. Validation accuracy 90%. A new run will show up here.');
    expect(end(2)).toBe('The run was stopped. A new run will show up here.');
  });

  it('shows the figures of this tab as in its row, and its samples after it has left', () => {
    const own = worker('own', { samples: 718, samplesPerSecond: 48, share: 1 });
    const events = [
      received(runMessage()),
      { type: 'ownId', id: 'own' },
      received(progress({ workers: [own], slowest: { id: 'own', cause: 'compute' } })),
    ] as const;
    const view = createRunView(stateAfter(...events));
    expect(view).toMatchObject({ ownSpeed: '48', ownShare: '100%', ownSamples: '718', slowestWorker: '' });
    expect(view.table).toEqual({ workers: [own], hidden: 0, ownId: 'own', slowestId: undefined });
    const left = [{ type: 'ownId', id: null }, received(progress())] as const;
    expect(createRunView(stateAfter(...events, ...left))).toMatchObject({ ownSpeed: '–', ownSamples: '718' });
    expect(createRunView(stateAfter(...events, ...left, { type: 'ownId', id: 'again' })).ownSamples).toBe(
      '718',
    );
  });

  it('computes no share of samples that it does not know, and says if this tab is not listed', () => {
    const show = (ownId: string, workerCount?: number) =>
      createRunView(
        stateAfter(
          received(runMessage()),
          { type: 'ownId', id: ownId },
          received(
            progress({ workers: [worker('a')], ...(workerCount === undefined ? {} : { workerCount }) }),
          ),
        ),
      );
    const ownTraffic = expect.stringMatching(/^Sent 2\.4/) as string;
    expect(show('a')).toMatchObject({ ownSamples: '100', ownPart: ' samples, 100% of all', ownTraffic });
    expect(show('a', 3_000)).toMatchObject({ ownSamples: '100', ownPart: ' samples', ownTraffic });
    expect(show('own')).toMatchObject({ ownSamples: '–', ownPart: '', ownTraffic: '' });
    expect(show('own', 3_000).ownTraffic).toBe('No figures of this tab: the page lists 1 of 3,000 workers.');
  });

  it('counts the samples of this tab to the end, also if the end arrives before the last figures', () => {
    const progressOf = (samples: number) => received(progress({ workers: [worker('own', { samples })] }));
    const shown = (...events: RunEvent[]): string =>
      createRunView(stateAfter(received(runMessage()), ...events)).ownSamples;
    const joined: RunEvent = { type: 'ownId', id: 'own' };
    const left: RunEvent = { type: 'ownId', id: null };
    expect(shown(joined, progressOf(0), left, progressOf(640))).toBe('640');
    expect(shown(joined, left, progressOf(640))).toBe('640');
    expect(shown(progressOf(640), joined)).toBe('640');
  });

  it('passes the slowest worker to the table, and shows its times', () => {
    const workers = [worker('a', { samples: 999 }), worker('b'), worker('own', { samples: 1 })];
    const show = (slowest: ProgressMessage['slowest']) =>
      createRunView(
        stateAfter(
          received(runMessage()),
          { type: 'ownId', id: 'own' },
          received(progress({ workers, slowest })),
        ),
      );
    const view = show({ id: 'b', cause: 'link' });
    expect(view.table).toEqual({ workers, hidden: 0, ownId: 'own', slowestId: 'b' });
    const times = '200\u00a0ms (50\u00a0ms compute). The others wait for it.';
    expect(view.slowestWorker).toBe(`Longest step: worker b, ${times}`);
    expect(show({ id: 'own', cause: 'compute' }).slowestWorker).toBe(`Longest step: this tab, ${times}`);
    expect(view).toMatchObject({ workersTitle: '3 workers', ownShare: '50%' });
  });

  it('shows the advice and the workers that do not take part', () => {
    const workers = [worker('a')];
    const notices = [
      { what: 'refused', reason: 'No token.', times: 3 },
      { what: 'banned', who: 'eve', reason: 'Its gradients are not those of two others.', times: 1 },
    ] as const;
    const advice = 'A second worker like a would bring 1.6 x.';
    const message = received(progress({ workers, advice, notices: [...notices] }));
    const view = createRunView(stateAfter(received(runMessage()), message));
    expect(view).toMatchObject({
      advice,
      // Reasons of refusals name options of the command line, which visitors of the page do not have.
      notices: '3 connections were refused.\nBanned: eve: Its gradients are not those of two others.',
    });
    expect(createRunView(initialRunState)).toMatchObject({ advice: '', notices: '' });
  });

  it('says that no workers are connected once progress has arrived', () => {
    expect(createRunView(stateAfter(received(runMessage()))).workersTitle).toBe('Workers');
    expect(createRunView(stateAfter(received(runMessage()), received(progress()))).workersTitle).toBe(
      'No workers connected',
    );
  });

  it('keeps the rows of workers until a message has new ones', () => {
    const workers = [worker('a')];
    const withoutRows: ProgressMessage = { ...progress({ step: 21 }), workers: undefined };
    const view = createRunView(
      stateAfter(received(runMessage()), received(progress({ workers })), received(withoutRows)),
    );
    expect(view.table.workers).toBe(workers);
    expect(view.epoch).toMatch(/step 21 of/);
  });
});

import { describe, expect, it } from 'vitest';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import {
  initialState,
  initialWatchState,
  reducePage,
  type PageEvent,
  type PageState,
} from '../../../worker-browser/page/page-state.ts';
import { createTabView } from '../../../worker-browser/page/tab-view.ts';

const engine: PageEvent = {
  type: 'engine',
  info: { backend: 'wasm', version: '4.22.0', device: 'CPU with 8 cores', threads: 1 },
  why: 'runs in every browser',
};
const joined: PageEvent = { type: 'joined', workerId: 'w1' };
const refused = (code?: number): PageEvent => ({ type: 'refused', reason: 'Ask for the right one', code });

/** The state after events, one a second. */
const after = (...events: PageEvent[]): PageState =>
  events.reduce((state, event, i) => reducePage(state, event, i * 1_000), initialState);
const shown = (...events: PageEvent[]) => createTabView(after(...events), events.length * 1_000);

describe('what the page shows', () => {
  it('goes from starting to contributing', () => {
    expect(shown().state).toBe('Starting');
    expect(shown(engine, { type: 'connecting' }).state).toBe('Connecting');
    expect(shown(engine, { type: 'connecting' }, { type: 'building' }).state).toBe('Building the model');
    expect(shown(engine, { type: 'connecting' }, { type: 'building' }, joined)).toMatchObject({
      state: 'Contributing',
      engine: 'WebAssembly, 1 thread, on CPU with 8 cores',
      button: { label: 'Pause', enabled: true },
    });
  });

  it('shows the standby of this tab, and asks for other devices', () => {
    const onStandby: PageEvent = { type: 'standby', onStandby: true, reason: 'Steps are faster without it.' };
    expect(shown(joined)).toMatchObject({ state: 'Contributing', invites: false });
    expect(shown(joined, onStandby)).toMatchObject({
      state: 'On standby',
      phase: 'standby',
      invites: true,
      note: '',
      button: { label: 'Pause' },
    });
    const again: PageEvent = { type: 'standby', onStandby: false, reason: 'Steps are faster with it.' };
    expect(shown(joined, onStandby, again)).toMatchObject({ state: 'Contributing', invites: false });
    // Standby ends with the connection, and with the tab's part in the run.
    expect(shown(joined, onStandby, { type: 'connecting' }, joined).state).toBe('Contributing');
    expect(shown(joined, onStandby, { type: 'clickedPause' })).toMatchObject({
      state: 'Pausing',
      invites: false,
    });
    expect(shown(joined, { type: 'clickedPause' }, { type: 'paused' }, onStandby).state).toBe('Paused');
  });

  it('counts down to the next try, with the reason', () => {
    const state = after(joined, { type: 'waiting', reason: 'the connection was lost', waitMs: 4_200 });
    expect(createTabView(state, 1_000)).toMatchObject({
      state: 'Connection lost',
      detail: 'The connection was lost.',
      countdown: 'Reconnecting in 5 s; no work is lost.',
    });
    expect(createTabView(state, 4_500).countdown).toBe('Reconnecting in 1 s; no work is lost.');
    expect(createTabView(state, 9_000).countdown).toBe('Reconnecting now; no work is lost.');
  });

  it('does not speak of a lost connection before this tab has joined', () => {
    const waiting: PageEvent = { type: 'waiting', reason: 'the coordinator does not answer', waitMs: 4_200 };
    expect(shown(waiting)).toMatchObject({
      state: 'Cannot reach the run',
      detail: 'The coordinator does not answer.',
      countdown: 'Trying again in 4 s.',
    });
  });

  it('says that the run is full, where the coordinator was reached and has no place', () => {
    const waiting: PageEvent = {
      type: 'waiting',
      reason: 'All 3 worker slots are in use.',
      waitMs: 4_200,
      isFull: true,
    };
    for (const events of [[waiting], [joined, waiting], [waiting, { type: 'connecting' } as const]]) {
      expect(shown(...events)).toMatchObject({
        state: 'The run is full',
        detail: 'All 3 worker slots are in use.',
        countdown: expect.stringMatching(/^Trying again/) as string,
      });
    }
  });

  it('keeps its text at every try to reconnect', () => {
    const state = after(joined, { type: 'waiting', reason: 'x', waitMs: 9_000 }, { type: 'connecting' });
    expect(createTabView(state, 2_500)).toMatchObject({
      state: 'Connection lost',
      countdown: 'Reconnecting now; no work is lost.',
    });
  });

  it('hides a note after a minute, but not in a tab that does not compute', () => {
    const noted = after(joined, { type: 'note', line: 'A shard failed.' });
    expect(createTabView(noted, 60_000).note).toBe('A shard failed.');
    expect(createTabView(noted, 62_000).note).toBe('');
    expect(createTabView(reducePage(noted, { type: 'clickedPause' }, 0), 62_000).note).toBe(
      'A shard failed.',
    );
  });

  it('does not announce an engine in a tab that has none', () => {
    expect(shown().engine).toBe('being prepared');
    expect(shown({ type: 'failed', reason: 'no engine' }).engine).toBe('none');
  });

  it('pauses: the button is disabled until the worker has left, and late messages change nothing', () => {
    const leaving = [joined, { type: 'clickedPause' }, { type: 'building' }, joined] as const;
    expect(shown(...leaving)).toMatchObject({ state: 'Pausing', button: { enabled: false } });
    expect(shown(...leaving, { type: 'paused' })).toMatchObject({
      state: 'Paused',
      button: { label: 'Continue', action: 'continue', enabled: true },
    });
    expect(shown(engine, ...leaving, { type: 'paused' }, { type: 'clickedContinue' }).state).toBe(
      'Connecting',
    );
  });

  it("shows the coordinator's reason at the end and after a refusal", () => {
    expect(shown(joined, { type: 'finished', reason: 'The run is finished.' })).toMatchObject({
      state: 'The run is over',
      detail: 'The run is finished. Thank you for taking part.',
      button: { label: 'Join the next run' },
      isOver: true,
      hasSettings: false,
      canWatch: false,
    });
    expect(shown(joined)).toMatchObject({ isOver: false, hasSettings: true, canWatch: true });
    expect(shown(refused(CloseCode.unsupported))).toMatchObject({
      detail: 'Ask for the right one.',
      button: { label: 'Try again', action: 'continue' },
    });
    expect(shown({ type: 'failed', reason: 'no engine' }).button?.action).toBe('reload');
    // No thanks for a run in which this tab took no part.
    expect(shown({ type: 'finished', reason: 'The run is finished.' }).detail).toBe('The run is finished.');
  });

  it.each([
    ['that joins', initialState, 'Join'],
    ['that watches', initialWatchState, 'Watch'],
  ])('asks once for the token on a page %s, whichever connection was refused', (_, before, tokenButton) => {
    const expected = { state: 'This run needs a token', button: null, canWatch: false, tokenButton };
    const sequences: PageEvent[][] = [
      [{ type: 'locked' }],
      [refused(CloseCode.unauthorized)],
      [{ type: 'locked' }, { type: 'connecting' }, refused(CloseCode.unauthorized)],
      [{ type: 'locked' }, { type: 'paused' }],
    ];
    for (const events of sequences) {
      const state = events.reduce((page, event) => reducePage(page, event, 0), before);
      expect(createTabView(state, 0)).toMatchObject(expected);
      expect(createTabView({ ...state, hasToken: true }, 0)).toMatchObject({
        ...expected,
        state: 'Wrong token',
      });
      // Visitors of the page have no command line.
      expect(JSON.stringify(createTabView(state, 0))).not.toMatch(/--\w/);
    }
    expect(createTabView(before, 0).tokenButton).toBeNull();
  });
});

describe('only watching', () => {
  it('goes on without an engine: after the end, drawings are not read', () => {
    const failed: PageEvent = { type: 'failed', reason: 'no Web Worker' };
    const state = reducePage(reducePage(initialWatchState, failed, 0), { type: 'runOver', isOver: true }, 0);
    expect(createTabView(state, 0)).toMatchObject({
      phase: 'watching',
      state: 'The run is over',
      detail: '',
    });
    const reads = reducePage(initialWatchState, { type: 'runOver', isOver: true }, 0);
    expect(createTabView(reads, 0).detail).toBe('The model still reads drawings.');
  });

  it('leaves the run, and joins it again', () => {
    const watching = after(joined, { type: 'clickedWatch' }, { type: 'paused' });
    expect(after(joined, { type: 'clickedWatch' }).phase.type).toBe('pausing');
    expect(createTabView(watching, 0)).toMatchObject({
      state: 'Watching',
      canWatch: false,
      button: { label: 'Join in' },
    });
    expect(reducePage(initialWatchState, { type: 'clickedContinue' }, 0)).toMatchObject({
      phase: { type: 'starting' },
      watchOnly: false,
    });
    expect(after({ type: 'finished', reason: 'done' }, { type: 'clickedWatch' }).phase.type).toBe('watching');
  });

  it('offers no button after the end of a run, until there is another run', () => {
    const over = reducePage(initialWatchState, { type: 'runOver', isOver: true }, 0);
    expect(createTabView(over, 0)).toMatchObject({
      state: 'The run is over',
      button: null,
      isOver: true,
      hasSettings: false,
    });
    expect(createTabView(reducePage(over, { type: 'runOver', isOver: false }, 0), 0)).toMatchObject({
      state: 'Watching',
      button: { label: 'Join in' },
    });
  });

  it('has a worker ID while this tab is connected', () => {
    expect(after(joined).workerId).toBe('w1');
    expect(after(joined, { type: 'waiting', reason: 'gone', waitMs: 1 }).workerId).toBeNull();
    expect(after(joined, { type: 'clickedPause' }, { type: 'paused' }).workerId).toBeNull();
  });
});

it('says that the tab is hidden or has no network', () => {
  expect(shown(joined, { type: 'visibility', hidden: true }).detail).toMatch(/in the background/);
  expect(
    shown(joined, { type: 'network', online: false }, { type: 'waiting', reason: 'x', waitMs: 500 }),
  ).toMatchObject({
    state: 'No network',
    detail: expect.stringMatching(/^This device has lost its network/) as string,
  });
});

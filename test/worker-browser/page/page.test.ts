import { describe, expect, it } from 'vitest';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import {
  inviteLink,
  isWatchOnly,
  socketUrl,
  tokenFromUrl,
  withToken,
  withWatchOnly,
  browserName,
} from '../../../worker-browser/page/environment.ts';
import {
  reducePage,
  initialState,
  watchingState,
  type PageEvent,
  type PageState,
} from '../../../worker-browser/page/page-state.ts';
import { describePrediction } from '../../../worker-browser/page/drawing.ts';
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

describe('the address', () => {
  it.each([
    ['http://192.168.1.5:8080/', 'ws://192.168.1.5:8080/'],
    ['http://[::1]:8080/#secret', 'ws://[::1]:8080/'],
    ['https://example.org/', 'wss://example.org/'],
    ['https://example.org/train/?from=mail#secret', 'wss://example.org/train/'],
    ['https://example.org/train/index.html', 'wss://example.org/train/'],
  ])('%s connects to %s', (href, url) => {
    expect(socketUrl(href)).toBe(url);
  });

  it.each([
    ['http://host/', undefined],
    ['http://host/#', undefined],
    ['http://host/#k3y', 'k3y'],
    ['http://host/#two%20words', 'two words'],
    ['http://host/#100%', '100%'],
    ['http://host/#token=k3y', 'k3y'],
  ])('%s holds the token %s', (href, token) => {
    expect(tokenFromUrl(href)).toBe(token);
  });

  it.each(['k3y', 'two words', '100%', '#?&/é'])('takes the token %s as it was typed', (token) => {
    expect(tokenFromUrl(withToken('http://host/path/?watch#old', token))).toBe(token);
    expect(withToken('http://host/path/?watch#old', token)).toMatch(/^http:\/\/host\/path\/\?watch#/);
  });

  it('that others are invited to is one that leads here from other devices', () => {
    expect(inviteLink('http://192.168.1.5:2718/?watch#k3y', [])).toBe('http://192.168.1.5:2718/#k3y');
    expect(inviteLink('https://example.org/train/#k3y', ['http://10.0.0.1/'])).toBe(
      'https://example.org/train/#k3y',
    );
    for (const name of ['127.0.0.1', 'localhost', '[::1]']) {
      expect(inviteLink(`http://${name}:2718/#k3y`, ['http://10.0.0.1:2718/'])).toBe(
        'http://10.0.0.1:2718/#k3y',
      );
      expect(inviteLink(`http://${name}:2718/#k3y`, [])).toBeNull();
    }
  });
});

it.each([
  ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36', 'Chrome on Linux'],
  [
    'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0',
    'Edge on Windows',
  ],
  ['Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0', 'Firefox on Android'],
  ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605 Version/18 Safari/605', 'Safari on macOS'],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 CriOS/140 Safari/605',
    'Chrome on iPhone',
  ],
  ['', 'Browser'],
])('%s is called %s', (userAgent, name) => {
  expect(browserName(userAgent)).toBe(name);
});

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

  it('stands by while the coordinator does without this tab, and asks for other devices', () => {
    const onStandby: PageEvent = { type: 'standby', onStandby: true, reason: 'Steps are faster without it.' };
    expect(shown(joined)).toMatchObject({ state: 'Contributing', invites: false });
    expect(shown(joined, onStandby)).toMatchObject({
      state: 'Standing by',
      phase: 'standby',
      invites: true,
      note: '',
      button: { label: 'Pause' },
    });
    const again: PageEvent = { type: 'standby', onStandby: false, reason: 'Steps are faster with it.' };
    expect(shown(joined, onStandby, again)).toMatchObject({ state: 'Contributing', invites: false });
    // It holds for one connection, and for a tab that takes part.
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

  it('speaks of no loss before this tab has ever joined', () => {
    const waiting: PageEvent = { type: 'waiting', reason: 'the coordinator does not answer', waitMs: 4_200 };
    expect(shown(waiting)).toMatchObject({
      state: 'Cannot reach the run',
      detail: 'The coordinator does not answer.',
      countdown: 'Trying again in 4 s.',
    });
  });

  it('does not change its words at every try to reconnect', () => {
    const state = after(joined, { type: 'waiting', reason: 'x', waitMs: 9_000 }, { type: 'connecting' });
    expect(createTabView(state, 2_500)).toMatchObject({
      state: 'Connection lost',
      countdown: 'Reconnecting now; no work is lost.',
    });
  });

  it('takes back what went wrong a minute ago, but no news of a tab that does not compute', () => {
    const noted = after(joined, { type: 'note', line: 'A shard failed.' });
    expect(createTabView(noted, 60_000).note).toBe('A shard failed.');
    expect(createTabView(noted, 62_000).note).toBe('');
    expect(createTabView(reducePage(noted, { type: 'clickedPause' }, 0), 62_000).note).toBe(
      'A shard failed.',
    );
  });

  it('promises no engine to a tab that has none', () => {
    expect(shown().engine).toBe('being prepared');
    expect(shown({ type: 'failed', reason: 'no engine' }).engine).toBe('none');
  });

  it('pauses: the button waits until the worker has left, and late news do not bring it back', () => {
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

  it("says the coordinator's sentence at the end and when refused", () => {
    expect(shown(joined, { type: 'finished', reason: 'The run is finished.' })).toMatchObject({
      state: 'The run is over',
      detail: 'The run is finished. Thank you for taking part.',
      button: { label: 'Join again' },
    });
    expect(shown(refused(CloseCode.unsupported))).toMatchObject({
      detail: 'Ask for the right one.',
      button: { label: 'Try again', action: 'continue' },
    });
    expect(shown({ type: 'failed', reason: 'no engine' }).button?.action).toBe('reload');
    // No thanks for a run that this tab had no part in.
    expect(shown({ type: 'finished', reason: 'The run is finished.' }).detail).toBe('The run is finished.');
  });

  it.each([
    ['that joins', initialState, 'Join'],
    ['that watches', watchingState, 'Watch'],
  ])('asks for the token on a page %s, once, whichever connection was refused', (_, before, tokenButton) => {
    const needed = { state: 'This run needs a token', button: null, canWatch: false, tokenButton };
    const ways: PageEvent[][] = [
      [{ type: 'locked' }],
      [refused(CloseCode.unauthorized)],
      [{ type: 'locked' }, { type: 'connecting' }, refused(CloseCode.unauthorized)],
      [{ type: 'locked' }, { type: 'paused' }],
    ];
    for (const way of ways) {
      const state = way.reduce((page, event) => reducePage(page, event, 0), before);
      expect(createTabView(state, 0)).toMatchObject(needed);
      expect(createTabView({ ...state, hasToken: true }, 0)).toMatchObject({
        ...needed,
        state: 'Wrong token',
      });
      // Visitors have no command line.
      expect(JSON.stringify(createTabView(state, 0))).not.toMatch(/--\w/);
    }
    expect(createTabView(before, 0).tokenButton).toBeNull();
  });
});

describe('only watching', () => {
  it('is in the address, beside the token', () => {
    expect(isWatchOnly('http://host/?watch#k3y')).toBe(true);
    expect(isWatchOnly('http://host/#watch')).toBe(false);
    expect(withWatchOnly('http://host/#k3y', true)).toBe('http://host/?watch#k3y');
    expect(withWatchOnly('http://host/?watch#k3y', false)).toBe('http://host/#k3y');
  });

  it('leaves the run, and joins it again', () => {
    const watching = after(joined, { type: 'clickedWatch' }, { type: 'paused' });
    expect(after(joined, { type: 'clickedWatch' }).phase.type).toBe('pausing');
    expect(createTabView(watching, 0)).toMatchObject({
      state: 'Watching',
      canWatch: false,
      button: { label: 'Join in' },
    });
    expect(reducePage(watchingState, { type: 'clickedContinue' }, 0)).toMatchObject({
      phase: { type: 'starting' },
      watchOnly: false,
    });
    expect(after({ type: 'finished', reason: 'done' }, { type: 'clickedWatch' }).phase.type).toBe('watching');
  });

  it('offers no part in a run that is over, until there is another', () => {
    const over = reducePage(watchingState, { type: 'runOver', isOver: true }, 0);
    expect(createTabView(over, 0)).toMatchObject({ state: 'The run is over', button: null, canWatch: false });
    expect(createTabView(reducePage(over, { type: 'runOver', isOver: false }, 0), 0)).toMatchObject({
      state: 'Watching',
      button: { label: 'Join in' },
    });
  });

  it('knows which worker this tab is, while it is one', () => {
    expect(after(joined).workerId).toBe('w1');
    expect(after(joined, { type: 'waiting', reason: 'gone', waitMs: 1 }).workerId).toBeNull();
    expect(after(joined, { type: 'clickedPause' }, { type: 'paused' }).workerId).toBeNull();
  });
});

it('says in plain words that the tab is hidden or has no network', () => {
  expect(shown(joined, { type: 'visibility', hidden: true }).detail).toMatch(/in the background/);
  expect(
    shown(joined, { type: 'network', online: false }, { type: 'waiting', reason: 'x', waitMs: 500 }),
  ).toMatchObject({
    state: 'No network',
    detail: expect.stringMatching(/^This device has lost its network/) as string,
  });
});

it('is sure of a digit, and says so when it is not', () => {
  expect(describePrediction([0.02, 0.9, 0.08])).toBe('The model reads 1.');
  expect(describePrediction([0.3, 0.24, 0.46])).toBe('The model is not sure: perhaps 2.');
});

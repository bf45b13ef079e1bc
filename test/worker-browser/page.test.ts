import { describe, expect, it } from 'vitest';
import { isWatchOnly, socketUrl, tokenOf, withWatchOnly } from '../../worker-browser/page/address.ts';
import { browserName } from '../../worker-browser/page/browser-name.ts';
import {
  advance,
  initialState,
  RECENT_MS,
  samplesPerSecond,
  watchingState,
  type PageEvent,
  type PageState,
} from '../../worker-browser/page/state.ts';
import { viewOf } from '../../worker-browser/page/view.ts';

const engine: PageEvent = {
  type: 'engine',
  info: { backend: 'wasm', version: '4.22.0', device: 'CPU with 8 cores', threads: 1 },
  why: 'runs in every browser',
};
const joined: PageEvent = { type: 'joined', run: { dataName: 'mnist', steps: 5_628 }, workerId: 'w1' };
const computed = (step: number, samples = 128): PageEvent => ({ type: 'computed', step, samples });

/** The state after events, one a second. */
const after = (...events: PageEvent[]): PageState =>
  events.reduce((state, event, i) => advance(state, event, i * 1_000), initialState);
const shown = (...events: PageEvent[]) => viewOf(after(...events), events.length * 1_000);

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
  ])('%s holds the token %s', (href, token) => {
    expect(tokenOf(href)).toBe(token);
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
      samples: '0',
      step: '',
      button: { label: 'Pause', enabled: true },
    });
  });

  it('adds up what was computed, evaluations too, and keeps it over a lost connection', () => {
    const view = shown(
      joined,
      computed(1_233),
      computed(1_234, 1_000),
      { type: 'connecting' },
      joined,
      computed(1_235),
    );
    expect(view).toMatchObject({ shards: '3', samples: '1,256', step: 'Step 1,235 of 5,628' });
  });

  it('counts down to the next try, with the reason', () => {
    const state = after(joined, { type: 'waiting', reason: 'the connection was lost', waitMs: 4_200 });
    expect(viewOf(state, 1_000)).toMatchObject({
      state: 'Waiting to reconnect',
      detail: expect.stringMatching(/^The connection was lost. This tab comes back by itself/) as string,
      countdown: 'Trying again in 5 s.',
    });
    expect(viewOf(state, 4_500).countdown).toBe('Trying again in 1 s.');
    expect(viewOf(state, 9_000).countdown).toBe('Trying again now.');
  });

  it('does not change its words at every try to reconnect', () => {
    const state = after(joined, { type: 'waiting', reason: 'x', waitMs: 9_000 }, { type: 'connecting' });
    expect(viewOf(state, 2_500)).toMatchObject({
      state: 'Waiting to reconnect',
      countdown: 'Trying again now.',
    });
  });

  it('takes back what went wrong a minute ago, but no news of a tab that does not compute', () => {
    const noted = after(joined, { type: 'note', line: 'A shard failed.' });
    expect(viewOf(noted, 60_000).note).toBe('A shard failed.');
    expect(viewOf(noted, 62_000).note).toBe('');
    expect(viewOf(advance(noted, { type: 'clickedPause' }, 0), 62_000).note).toBe('A shard failed.');
  });

  it('promises no engine to a tab that has none', () => {
    expect(shown().engine).toBe('being prepared');
    expect(shown({ type: 'failed', reason: 'no engine' }).engine).toBe('none');
  });

  it('pauses: the button waits until the worker has left, and late news do not bring it back', () => {
    const leaving = [joined, { type: 'clickedPause' }, computed(1), joined] as const;
    expect(shown(...leaving)).toMatchObject({ state: 'Pausing', shards: '0', button: { enabled: false } });
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
    expect(shown({ type: 'refused', reason: 'Wrong token. Ask for the right one' })).toMatchObject({
      detail: 'Wrong token. Ask for the right one.',
      button: { label: 'Try again', action: 'continue' },
    });
    expect(shown({ type: 'failed', reason: 'no engine' }).button.action).toBe('reload');
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
    expect(viewOf(watching, 0)).toMatchObject({
      state: 'Watching',
      canWatch: false,
      button: { label: 'Join in' },
    });
    expect(advance(watchingState, { type: 'clickedContinue' }, 0)).toMatchObject({
      phase: { type: 'starting' },
      watchOnly: false,
    });
    expect(after({ type: 'finished', reason: 'done' }, { type: 'clickedWatch' }).phase.type).toBe('watching');
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

describe('samples a second', () => {
  it('counts the last seconds only, waiting included', () => {
    const state = after(joined, computed(1, 500), computed(2, 500));
    expect(samplesPerSecond(state, 2_000)).toBe(500);
    expect(samplesPerSecond(state, RECENT_MS)).toBe(100);
    expect(samplesPerSecond(state, RECENT_MS + 1_500)).toBe(50);
    expect(samplesPerSecond(state, RECENT_MS * 3)).toBe(0);
  });

  it('is not known before the first shard, nor while away', () => {
    expect(samplesPerSecond(after(joined), 500)).toBeNull();
    expect(shown(joined, computed(1), { type: 'connecting' }).samplesPerSecond).toBe('–');
  });

  it('keeps no more than the last seconds', () => {
    const events = Array.from({ length: 100 }, (_, i) => computed(i));
    expect(after(joined, ...events).recent.length).toBeLessThanOrEqual(RECENT_MS / 1_000);
  });
});

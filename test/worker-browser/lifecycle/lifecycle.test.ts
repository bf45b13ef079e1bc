import { describe, expect, it } from 'vitest';
import {
  createAutoPause,
  watchBattery,
  watchForSleep,
  createWakeLock,
} from '../../../worker-browser/lifecycle/policies.ts';
import { manualClock } from '../../support/manual-clock.ts';

it('reports once that a battery runs low, and once that it is charged again', () => {
  const listeners: (() => void)[] = [];
  const battery = {
    charging: false,
    level: 0.5,
    addEventListener: (_type: string, listener: () => void) => void listeners.push(listener),
  };
  const reported: boolean[] = [];
  watchBattery(battery, (low) => reported.push(low));
  const set = (charging: boolean, level: number): void => {
    Object.assign(battery, { charging, level });
    listeners.forEach((listener) => listener());
  };
  expect(reported).toEqual([]);
  set(false, 0.19);
  set(false, 0.1);
  expect(reported).toEqual([true]);
  set(true, 0.1);
  set(true, 0.3);
  expect(reported).toEqual([true, false]);
});

it('reports a battery that is low from the start', () => {
  const reported: boolean[] = [];
  const battery = { charging: false, level: 0.05, addEventListener: () => undefined };
  watchBattery(battery, (low) => reported.push(low));
  expect(reported).toEqual([true]);
});

describe('an automatic pause', () => {
  const startTab = () => {
    let state: 'participating' | 'paused' = 'participating';
    const autoPause = createAutoPause({
      isParticipating: () => state === 'participating',
      pause: () => set('paused'),
      join: () => set('participating'),
    });
    const set = (next: typeof state): void => {
      state = next;
      autoPause.onStateChange();
    };
    return { autoPause, set, state: () => state };
  };

  it('ends with its cause', () => {
    const { autoPause, state } = startTab();
    expect(autoPause.begin('battery')).toBe(true);
    expect(state()).toBe('paused');
    autoPause.end('battery');
    expect(state()).toBe('participating');
  });

  it('for a low battery does not end when the page is shown again', () => {
    const { autoPause, state } = startTab();
    autoPause.begin('battery');
    autoPause.begin('navigation');
    autoPause.end('navigation');
    expect(state()).toBe('paused');
  });

  it('is forgotten when the person continues, and then pauses', () => {
    const { autoPause, set, state } = startTab();
    autoPause.begin('battery');
    set('participating');
    set('paused');
    autoPause.end('battery');
    expect(state()).toBe('paused');
  });

  it('does not begin while the person has paused', () => {
    const { autoPause, set, state } = startTab();
    set('paused');
    expect(autoPause.begin('navigation')).toBe(false);
    autoPause.end('navigation');
    expect(state()).toBe('paused');
  });
});

it('tells a sleep from a busy machine', async () => {
  const clock = manualClock();
  let sleptMs = 0;
  let awakenings = 0;
  watchForSleep(
    clock,
    () => clock.now() + sleptMs,
    () => awakenings++,
  );
  await clock.advance(60_000);
  clock.skip(9_000);
  await clock.advance(5_000);
  expect(awakenings).toBe(0);
  sleptMs += 600_000;
  await clock.advance(5_000);
  expect(awakenings).toBe(1);
  await clock.advance(60_000);
  expect(awakenings).toBe(1);
});

it('holds a wake lock while it is wanted, and requests it again when the browser has released it', async () => {
  let requests = 0;
  let current = { released: true, release: () => Promise.resolve() };
  const setAwake = createWakeLock({
    request() {
      requests++;
      const lock = { released: false, release: () => Promise.resolve(void (lock.released = true)) };
      current = lock;
      return Promise.resolve(lock);
    },
  });
  await Promise.all([setAwake(true), setAwake(true)]);
  expect(requests).toBe(1);
  current.released = true;
  await setAwake(true);
  expect(requests).toBe(2);
  await setAwake(false);
  expect(current.released).toBe(true);
});

it('lets the machine sleep where the browser refuses a wake lock', async () => {
  const setAwake = createWakeLock({ request: () => Promise.reject(new Error('low battery')) });
  await expect(setAwake(true)).resolves.toBeUndefined();
});

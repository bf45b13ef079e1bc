import { describe, expect, it } from 'vitest';
import {
  createAutoPause,
  watchBattery,
  watchForSleep,
  createWakeLock,
} from '../../../worker-browser/lifecycle/policies.ts';
import { manualClock } from '../../support/manual-clock.ts';

it('hears once that a battery runs low, and once that it is charged again', () => {
  const listeners: (() => void)[] = [];
  const battery = {
    charging: false,
    level: 0.5,
    addEventListener: (_type: string, listener: () => void) => void listeners.push(listener),
  };
  const heard: boolean[] = [];
  watchBattery(battery, (low) => heard.push(low));
  const set = (charging: boolean, level: number): void => {
    Object.assign(battery, { charging, level });
    listeners.forEach((listener) => listener());
  };
  expect(heard).toEqual([]);
  set(false, 0.19);
  set(false, 0.1);
  expect(heard).toEqual([true]);
  set(true, 0.1);
  set(true, 0.3);
  expect(heard).toEqual([true, false]);
});

it('hears of a battery that is low from the start', () => {
  const heard: boolean[] = [];
  const battery = { charging: false, level: 0.05, addEventListener: () => undefined };
  watchBattery(battery, (low) => heard.push(low));
  expect(heard).toEqual([true]);
});

describe('a pause of its own', () => {
  const pausing = () => {
    let at: 'work' | 'rest' = 'work';
    const pauses = createAutoPause({
      isParticipating: () => at === 'work',
      pause: () => set('rest'),
      join: () => set('work'),
    });
    const set = (to: typeof at): void => {
      at = to;
      pauses.settle();
    };
    return { pauses, set, at: () => at };
  };

  it('ends with what it began for', () => {
    const { pauses, at } = pausing();
    expect(pauses.begin('battery')).toBe(true);
    expect(at()).toBe('rest');
    pauses.end('battery');
    expect(at()).toBe('work');
  });

  it('for a low battery is not ended by a page that is shown', () => {
    const { pauses, at } = pausing();
    pauses.begin('battery');
    pauses.begin('left');
    pauses.end('left');
    expect(at()).toBe('rest');
  });

  it('is forgotten when the person goes on, and then pauses', () => {
    const { pauses, set, at } = pausing();
    pauses.begin('battery');
    set('work');
    set('rest');
    pauses.end('battery');
    expect(at()).toBe('rest');
  });

  it('is none where the person has paused', () => {
    const { pauses, set, at } = pausing();
    set('rest');
    expect(pauses.begin('left')).toBe(false);
    pauses.end('left');
    expect(at()).toBe('rest');
  });
});

it('knows a sleep from a busy machine', async () => {
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

it('holds a wake lock while it is wanted, and asks again when the browser has taken it', async () => {
  let requests = 0;
  let held = { released: true, release: () => Promise.resolve() };
  const stayAwake = createWakeLock({
    request() {
      requests++;
      const lock = { released: false, release: () => Promise.resolve(void (lock.released = true)) };
      held = lock;
      return Promise.resolve(lock);
    },
  });
  await Promise.all([stayAwake(true), stayAwake(true)]);
  expect(requests).toBe(1);
  held.released = true;
  await stayAwake(true);
  expect(requests).toBe(2);
  await stayAwake(false);
  expect(held.released).toBe(true);
});

it('lets the machine sleep where no wake lock is to be had', async () => {
  const stayAwake = createWakeLock({ request: () => Promise.reject(new Error('low battery')) });
  await expect(stayAwake(true)).resolves.toBeUndefined();
});

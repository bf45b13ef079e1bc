import { expect, it } from 'vitest';
import {
  checkDescriptors,
  connectionLimitsFor,
  DEFAULT_WORKERS,
  joinLimitsFor,
  MAX_WORKERS,
} from '../../../../coordinator/server/limits/connection-limits.ts';
import { HttpRateLimiter } from '../../../../coordinator/server/limits/http-rate-limiter.ts';
import { manualClock } from '../../../support/manual-clock.ts';
import { createCoordinator } from '../../../../coordinator/api/create-coordinator.ts';
import { train } from '../../../../coordinator/api/train.ts';

it.each([
  [undefined, 1_000, { connections: 4_096, workers: 1_000, observers: 1_024 }],
  [1_048_576, 16, { connections: 4_096, workers: 16, observers: 1_024 }],
  [1_048_576, 4_000, { connections: 16_000, workers: 4_000, observers: 4_000 }],
  [8_320, 4_000, { connections: 8_192, workers: 4_000, observers: 2_048 }],
  [1_024, 1_000, { connections: 896, workers: 448, observers: 224 }],
  [64, 1_000, { connections: 32, workers: 16, observers: 8 }],
  [4, 1_000, { connections: 4, workers: 2, observers: 1 }],
])('with %s descriptors for %s workers, some are left for files', (descriptors, workers, limits) => {
  expect(connectionLimitsFor(descriptors, workers)).toEqual(limits);
});

it('names the number of open files that the workers of an option need', () => {
  expect(() => checkDescriptors(4_000, undefined, 1_024)).toThrow(
    '--max-workers 4000 needs more open files than the 1024 that the system allows this process, which are enough for 448 ' +
      'workers. Allow more first: ulimit -n 8128',
  );
  expect(() => checkDescriptors(4_000, undefined, 8_128)).not.toThrow();
});

it('lets as many workers of one network join at once as there are places, and always a few hundred', () => {
  expect(joinLimitsFor(4_000).joins.perBlock.burst).toBe(4_000);
  expect(joinLimitsFor(10).joins.perBlock.burst).toBe(250);
  expect(joinLimitsFor(MAX_WORKERS).pending).toEqual({ perBlock: 4_096, total: 8_192 });
});

it('lets them connect at once over TLS too, and once more', () => {
  const evicted: string[] = [];
  const pending = { evictBlock: (block: string) => evicted.push(block) };
  const limiter = new HttpRateLimiter(manualClock(), pending, joinLimitsFor(DEFAULT_WORKERS).http);
  for (let attempt = 0; attempt < 2; attempt++) {
    const peers = Array.from({ length: DEFAULT_WORKERS }, () => ({
      remoteAddress: '192.0.2.1',
      destroyed: false,
      destroy: () => undefined,
    }));
    expect(peers.filter((peer) => !limiter.acceptConnection(peer, true))).toEqual([]);
    expect(peers.filter((peer) => !limiter.acceptUpgrade(peer))).toEqual([]);
  }
  expect(evicted).toEqual([]);
});

it('is refused as an option of the library if it is no number of workers', async () => {
  expect(() => createCoordinator({ maxWorkers: MAX_WORKERS + 1 })).toThrow(/maxWorkers/);
  expect(() => createCoordinator({ maxWorkers: 0 })).toThrow(/maxWorkers/);
  await expect(train({}, { maxWorkers: 1.5 })).rejects.toThrow(/maxWorkers/);
  await expect(train({}, { minWorkers: 2_000 })).rejects.toThrow(
    'The run would wait for 2000 workers and admit 1000. Set maxWorkers.',
  );
  const coordinator = createCoordinator();
  await expect(train({}, { maxWorkers: 5, coordinator })).rejects.toThrow(/belongs to the coordinator/);
  await coordinator.close();
});

import { expect, it } from 'vitest';
import { Contributions, describeContributions } from '../../../coordinator/observe/contributions.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { testPool } from '../pool/pool-harness.ts';

it('counts workers that are there and those that have left, by name, but not banned ones', async () => {
  const { pool, join } = testPool();
  const contributions = new Contributions(pool);
  const ann = await join('ann');
  await join('bob');
  await join('eve');
  await join('idle');
  const compute = (name: string, samples: number): void => {
    const worker = [...pool.workers.values()].find((each) => each.name === name)!;
    worker.stats.trainSamples += samples;
  };
  compute('ann', 30);
  compute('bob', 60);
  compute('eve', 500);
  await ann.say({ type: 'leaving', reason: 'asked to leave' });
  pool.drop(
    [...pool.workers.values()].find(({ name }) => name === 'eve')!,
    CloseCode.wrongGradient,
    'Its gradients are wrong.',
  );
  await join('ann');
  compute('ann', 10);
  expect(contributions.all).toEqual([
    { worker: 'bob', samples: 60 },
    { worker: 'ann', samples: 40 },
  ]);
});

it('has a line with the part of each worker, if there are several', () => {
  expect(describeContributions([])).toBeNull();
  expect(describeContributions([{ worker: 'ann', samples: 3 }])).toBeNull();
  const two = [
    { worker: 'bob', samples: 62 },
    { worker: 'ann', samples: 38 },
  ];
  expect(describeContributions(two)).toBe('Samples computed: bob 62%, ann 38%');
  const many = Array.from({ length: 23 }, (_, i) => ({ worker: `w${i}`, samples: 1 }));
  expect(describeContributions(many)).toMatch(/, w19 4%, and 3 more workers$/);
});

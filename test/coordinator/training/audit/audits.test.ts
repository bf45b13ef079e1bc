import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auditWorkers } from '../../../../coordinator/training/audit/audit-workers.ts';
import { Audits } from '../../../../coordinator/training/audit/audits.ts';
import { disagree } from '../../../../coordinator/training/audit/difference.ts';
import { Suspicions } from '../../../../coordinator/training/audit/suspicions.ts';
import { CloseCode } from '../../../../shared/protocol/close-code.ts';
import type { WorkerId } from '../../../../shared/protocol/messages.ts';
import { shardId } from '../../../shared/protocol/examples.ts';
import { simulation, type SimulatedWorker } from '../simulation.ts';
import { checkProperty } from '../../../support/property.ts';

/** The same numbers for the same seed, in [0, 1). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

describe('a tail that an audit hears', () => {
  const [ann, bob] = ['ann', 'bob'] as WorkerId[] as [WorkerId, WorkerId];
  const range = { from: 0, to: 8 };
  const audited = () => {
    const wrong: string[] = [];
    const audits = new Audits({
      ...{ fraction: 1, random: () => 0 },
      onWrong: (worker) => wrong.push(`wrong ${worker}`),
      onDispute: (a, b) => wrong.push(`dispute ${a} ${b}`),
    });
    audits.choose([{ ...range, worker: ann }], [{ ...range, worker: bob }], []);
    audits.given({ ...range, id: shardId(1), worker: ann, givenAtMs: 0, lateAtMs: 1, copy: false });
    audits.given({ ...range, id: shardId(2), worker: bob, givenAtMs: 0, lateAtMs: 1, copy: true });
    return { audits, wrong };
  };

  it('is put together, and compared with a gradient that came whole', () => {
    for (const [value, said] of [
      [3, []],
      [-3, ['dispute ann bob']],
    ] as const) {
      const { audits, wrong } = audited();
      const room = Float32Array.of(4, 5);
      expect(audits.heardFrom(shardId(1))).toBeNull();
      audits.tail(shardId(1), room, 3);
      // What it was is gone when the round is over.
      room.fill(0);
      expect(audits.heardFrom(shardId(1))).toBe(3);
      audits.tail(shardId(1), Float32Array.of(value), 2);
      audits.answered(shardId(1), 1, Float32Array.of(1, 2));
      audits.answered(shardId(2), 1, Float32Array.of(1, 2, 3, 4, 5));
      expect(wrong.map((line) => line.split(' ').toSorted().join(' '))).toEqual(
        said.map((line) => line.split(' ').toSorted().join(' ')),
      );
    }
  });

  it('compares with nothing where a part was not heard', () => {
    const { audits, wrong } = audited();
    audits.tail(shardId(1), Float32Array.of(9), 4);
    audits.answered(shardId(1), 1, Float32Array.of(1, 2));
    audits.answered(shardId(2), 1, Float32Array.of(1, 2, 3, 4, 5));
    expect(wrong).toEqual([]);
  });
});

describe('two answers', () => {
  const gradient = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i * 0.7) * (1 + (i % 7)));
  const honest = { lossSum: 40, gradient };
  const with_ = (change: (value: number, i: number) => number) => ({
    ...honest,
    gradient: gradient.map(change),
  });

  it('of engines that round and decide differently do not contradict each other', () => {
    const random = randomNumbers(7);
    expect(
      disagree(
        honest,
        with_((value) => value * (1 + 0.01 * (random() - 0.5))),
        32,
      ),
    ).toBe(false);
    expect(
      disagree(
        honest,
        with_((value, i) => (i < 10 ? value + 1 : value)),
        32,
      ),
    ).toBe(false);
    expect(
      disagree(
        { lossSum: 0, gradient: new Float32Array(9) },
        { lossSum: 1e-6, gradient: new Float32Array(9).fill(1e-7) },
        32,
      ),
    ).toBe(false);
  });

  it.each([
    ['a sign', (value: number) => -value],
    ['a factor of two', (value: number) => 2 * value],
    ['a factor of a half', (value: number) => value / 2],
    ['nothing at all', () => 0],
    ['other values', (_: number, i: number) => gradient[(i + 13) % 1000]!],
  ])('that differ by %s do', (_, change) => {
    expect(disagree(honest, with_(change), 32)).toBe(true);
    expect(disagree(with_(change), honest, 32)).toBe(true);
  });

  it('with different losses do', () => {
    expect(disagree(honest, { ...honest, lossSum: 60 }, 32)).toBe(true);
  });
});

describe('suspicions', () => {
  const [ann, bob, cyd, dan] = ['ann', 'bob', 'cyd', 'dan'] as WorkerId[] as [
    WorkerId,
    WorkerId,
    WorkerId,
    WorkerId,
  ];

  it('fall on both of two that disagree, and condemn the one whom a second one contradicts', () => {
    const suspicions = new Suspicions();
    expect(suspicions.disagreed(ann, bob)).toBeNull();
    expect([ann, bob, cyd].map((worker) => suspicions.isSuspect(worker))).toEqual([true, true, false]);
    expect(suspicions.disagreed(ann, bob)).toBeNull();
    expect(suspicions.disagreed(cyd, ann)).toBe(ann);
    suspicions.forget(ann);
    expect([bob, cyd].map((worker) => suspicions.isSuspect(worker))).toEqual([false, false]);
  });

  it('are lifted by more who agree than who do not', () => {
    const suspicions = new Suspicions();
    suspicions.disagreed(ann, bob);
    suspicions.agreed(bob, cyd);
    expect(suspicions.isSuspect(bob)).toBe(true);
    suspicions.agreed(dan, bob);
    expect(suspicions.isSuspect(bob)).toBe(false);
    expect(suspicions.isSuspect(ann)).toBe(true);
  });

  it('never condemn an honest one while the honest are the most, whoever is compared with whom', () => {
    const pairs = fc.array(fc.tuple(fc.nat(6), fc.nat(6)), { maxLength: 200 });
    checkProperty(
      fc.property(pairs, (compared) => {
        // 0 lies, 1 to 6 do not.
        const suspicions = new Suspicions();
        const ids = Array.from({ length: 7 }, (_, i) => `w${i}` as WorkerId);
        const gone = new Set<number>();
        for (const [a, b] of compared) {
          if (a === b || gone.has(a) || gone.has(b)) continue;
          if (a !== 0 && b !== 0) suspicions.agreed(ids[a]!, ids[b]!);
          else {
            const wrong = suspicions.disagreed(ids[a]!, ids[b]!);
            if (wrong === null) continue;
            expect(wrong).toBe(ids[0]);
            suspicions.forget(ids[0]!);
            gone.add(0);
          }
        }
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});

describe('an audit of one shard in fifty', () => {
  /** Six workers on two kinds of engine, which differ by half a percent of the norm. */
  async function audited(seed: number) {
    const lines: string[] = [];
    const random = randomNumbers(seed);
    const made = simulation((pool) => auditWorkers(pool, { warn: (line) => lines.push(line) }, 0.02, random));
    const workers: SimulatedWorker[] = [];
    for (let i = 0; i < 6; i++) {
      const device = i % 2 === 0 ? 'cpu' : 'gpu';
      const gradient = (truth: readonly number[]) =>
        device === 'cpu' ? truth : truth.map((value, at) => value * (1 + (at % 2 === 0 ? 0.005 : -0.005)));
      workers.push(await made.join(`w${i}`, { device, gradient }));
    }
    return { ...made, workers, lines, random };
  }
  let before: readonly number[] = [1, 2, 3, 4, 5, 6];

  it.each<[string, (truth: readonly number[], random: () => number) => readonly number[]]>([
    ['turns the sign', (truth) => truth.map((value) => -value)],
    ['scales', (truth) => truth.map((value) => 3 * value)],
    ['answers at random', (truth, random) => truth.map(() => 200 * (random() - 0.5))],
    [
      'copies from another step',
      (truth) => {
        const copied = before;
        before = truth;
        return copied;
      },
    ],
  ])(
    'finds a worker that %s within 200 steps, and nobody else',
    async (_, lie) => {
      for (const seed of [1, 2, 3]) {
        const { workers, runStep, run, pool, lines, random } = await audited(seed);
        const [, , liar] = workers;
        liar!.gradient = (truth) => lie(truth, random);
        for (let at = 0; at < 200 && liar!.client.closed === null; at++) await runStep();
        expect(liar!.client.closed?.code, lines.join('\n')).toBe(CloseCode.wrongGradient);
        expect(lines.at(-1)).toMatch(
          /^w2 \(.* on cpu\) is expelled: its gradients are not those of .*counted\.$/,
        );
        await run(100);
        expect(pool.members.size).toBe(5);
      }
    },
    60_000,
  );

  it('expels nobody where all are honest, and every sample counts once', async () => {
    const { run, pool, lines, sums, trueSum } = await audited(4);
    await run(300);
    expect([pool.members.size, lines]).toEqual([6, []]);
    for (const [at, sum] of sums.entries()) {
      for (const [i, value] of trueSum(at).entries())
        expect(Math.abs(sum[i]! - value)).toBeLessThan(0.01 * 128 * 41);
    }
  }, 60_000);

  it('costs a few percent of the time', async () => {
    const { run } = await audited(5);
    await run(20);
    const times = await run(300);
    const mean = times.reduce((sum, ms) => sum + ms, 0) / times.length;
    console.log(`  ${mean.toFixed(1)} ms a step`);
    expect(mean).toBeLessThan(1.1 * 22);
  }, 60_000);

  it('of two workers says that they differ, since nobody can tell who is wrong', async () => {
    const lines: string[] = [];
    const made = simulation((pool) =>
      auditWorkers(pool, { warn: (line) => lines.push(line) }, 0.5, randomNumbers(1)),
    );
    await made.join('ann');
    await made.join('bob', { gradient: (truth) => truth.map((value) => -value) });
    await made.run(30);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /differ about a gradient: one of them is wrong\. It takes a third worker to find out\.$/,
    );
    expect(made.pool.members.size).toBe(2);
  });
});

it('a shard that was failed at is not waited for', () => {
  const [ann, bob] = ['ann' as WorkerId, 'bob' as WorkerId];
  const audits = new Audits({
    ...{ fraction: 1, random: () => 0, onWrong: () => undefined, onDispute: () => undefined },
  });
  const range = { from: 0, to: 4 };
  audits.choose([{ ...range, worker: ann }], [], [ann, bob]);
  const id = shardId(7);
  audits.given({ ...range, id, worker: bob, givenAtMs: 0, lateAtMs: Infinity, copy: true });
  expect(audits.wants(id)).toBe(true);
  audits.failed(id);
  expect(audits.wants(id)).toBe(false);
});

import { describe, expect, it } from 'vitest';
import { Inspector, type InspectorOptions } from '../../../../coordinator/training/integrity/inspector.ts';
import { int4 } from '../../../../shared/codec/int4.ts';
import { CloseCode } from '../../../../shared/protocol/close-code.ts';
import { exampleJob } from '../../../shared/protocol/examples.ts';
import { fixedRandom } from '../../../support/property.ts';
import { settle } from '../../../support/manual-clock.ts';
import type { Client } from '../../members/pool-harness.ts';
import { testRunner } from '../runner-harness.ts';
import { sendHead, sendTail } from '../tails-harness.ts';

type Referee = InspectorOptions['referee'];

/** The right answer to every shard: ones, a loss of one for each sample, one hit. */
const truth: Referee = {
  open: () => Promise.resolve(),
  gradient: (_, __, { labels }) =>
    Promise.resolve({ lossSum: labels.length, correct: 1, gradient: new Float32Array(6).fill(1) }),
  evaluate: (_, { labels }) => Promise.resolve({ lossSum: labels.length, correct: 1 }),
  doubt: () => Promise.resolve(null),
};

interface Setting {
  readonly referee?: Referee;
  readonly audit?: number;
  readonly tailCuts?: readonly number[];
  readonly int4?: boolean;
  readonly samples?: number;
}

function inspected({ referee = truth, audit = 0, tailCuts = [], int4 = false, samples = 8 }: Setting = {}) {
  const made: { inspector: Inspector | null } = { inspector: null };
  const codecs = int4 ? { up: 'int4', down: 'float32' } : undefined;
  const runner = testRunner(samples, tailCuts, codecs, ({ pool, clock }, warn) => {
    const report = { warn, info: warn };
    made.inspector = new Inspector({
      pool,
      clock,
      report,
      referee,
      audit,
      job: exampleJob,
      random: fixedRandom(),
    });
    return made.inspector;
  });
  return { ...runner, inspector: made.inspector as unknown as Inspector };
}

/** Has clients answer the shards of a step until it is done; each with values of its own, ones by default. */
async function finish(
  round: { readonly result: unknown },
  clients: readonly Client[],
  values: ReadonlyMap<Client, readonly number[]> = new Map(),
): Promise<void> {
  const answered = new Set<number>();
  for (let turn = 0; turn < 20 && round.result === null; turn++) {
    for (const client of clients) {
      const shard = client.messages('shard').at(-1);
      if (client.closed !== null || shard === undefined || answered.has(shard.shard)) continue;
      answered.add(shard.shard);
      await client.answer({}, values.get(client));
    }
    await settle();
  }
}

const ALL = [1, 1, 1, 1, 1, 1];
const times = (factor: number): number[] => ALL.map((value) => factor * value);

describe('an inspected run', () => {
  it.each([1e30, 1e18, 3e38, -1, -3, -9, 0, 2])(
    'bans a worker whose first answer is %d times what it should be, and none of it counts',
    async (factor) => {
      const { join, gradient, pool, warnings } = inspected({ samples: 9 });
      const [ann, bob, eve] = [await join('ann'), await join('bob'), await join('eve')];
      const round = await gradient(1);
      await finish(round, [ann, bob, eve], new Map([[eve, times(factor)]]));
      // The step is repeated with two shards, each of ones.
      expect(round.result).toMatchObject({ gradientSum: Float32Array.from(times(2)), lossSum: 9 });
      expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
      expect(pool.members.size).toBe(2);
      expect(warnings).toEqual([
        expect.stringMatching(
          /^eve \(wasm on 2 cores\) is banned: the gradient .* of step 1 differs by .* honest engines differ by at most .*\. It had given 1 answer\.$/,
        ),
      ]);
    },
  );

  it('bans two liars of five who agree, and no honest worker', async () => {
    const { join, gradient, pool } = inspected({ samples: 10 });
    const [ann, bob, cyd] = [await join('ann'), await join('bob'), await join('cyd')];
    const [eve, mal] = [await join('eve'), await join('mal')];
    const honest = await gradient(1);
    await finish(honest, [ann, bob, cyd, eve, mal]);
    expect(pool.members.size).toBe(5);
    const lies = new Map([
      [eve, times(1e6)],
      [mal, times(1e6)],
    ]);
    const round = await gradient(2);
    await finish(round, [ann, bob, cyd, eve, mal], lies);
    expect(round.result).toMatchObject({ gradientSum: Float32Array.from(times(3)) });
    expect([...pool.members.values()].map(({ name }) => name)).toEqual(['ann', 'bob', 'cyd']);
  });

  it('finds a lie of the usual size while it goes on, and says from which step on it has to be done again', async () => {
    const { join, gradient, pool, inspector, clock } = inspected();
    const [ann, eve] = [await join('ann'), await join('eve')];
    await finish(await gradient(0), [ann, eve]);
    expect(inspector.takeRewind()).toBeNull();
    // Too small to be odd, too large for an honest engine.
    const lie = new Map([[eve, times(1.6)]]);
    let number = 1;
    for (; pool.members.size === 2 && number < 50; number++) {
      await finish(await gradient(number), [ann, eve], lie);
      await inspector.settle();
      await clock.advance(1_000);
    }
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    // Nothing of it was confirmed since the step before.
    expect(inspector.takeRewind()).toBe(1);
    expect(inspector.takeRewind()).toBeNull();
  });

  it('has every answer recomputed that an audit says, before it counts', async () => {
    const { join, gradient, pool } = inspected({ audit: 1 });
    const [ann, eve] = [await join('ann'), await join('eve')];
    await finish(await gradient(1), [ann, eve]);
    const round = await gradient(2);
    await finish(round, [ann, eve], new Map([[eve, times(1.6)]]));
    expect(round.result).toMatchObject({ gradientSum: Float32Array.from(ALL) });
    expect(pool.members.size).toBe(1);
  });

  it('bans no honest worker whose gradients are int4, with or without an audit', async () => {
    for (const audit of [0, 1]) {
      // Most of each value is lost: in steps of a seventh of the largest.
      const values = [1, 0.06, 0.06, 0.06, 0.06, 0.06];
      const gradientOf = Float32Array.from(values);
      const referee = {
        ...truth,
        gradient: (...[, , { labels }]: Parameters<Referee['gradient']>) =>
          Promise.resolve({ lossSum: labels.length, correct: 1, gradient: gradientOf }),
      };
      const { join, gradient, pool } = inspected({ audit, int4: true, referee });
      const codecs = { codecs: ['float32', 'int4'] };
      const clients = [await join('ann', codecs), await join('bob', codecs)];
      const owed = clients.map(() => new Float32Array(6));
      for (let number = 1; number <= 12; number++) {
        const round = await gradient(number);
        for (const [i, client] of clients.entries()) {
          const { step, shard, samples } = client.messages('shard').at(-1)!;
          const payload = new Uint8Array(int4.bytes(6));
          int4.encodeOwed(gradientOf, owed[i]!, payload);
          const sums = { samples, lossSum: samples, correct: 1, computeMs: 1 };
          await client.say({ type: 'gradient', step, shard, ...sums }, payload);
        }
        await settle();
        expect(round.result).not.toBeNull();
      }
      expect(pool.members.size).toBe(2);
    }
  });

  it('bans no worker where two engines of this machine differ about the model, and says that it does not check', async () => {
    const { join, gradient, pool, warnings } = inspected({
      referee: { ...truth, doubt: () => Promise.resolve(0.3) },
    });
    const [ann, bob] = [await join('ann'), await join('bob')];
    await finish(await gradient(1), [ann, bob], new Map([[ann, times(1.4)]]));
    expect(pool.members.size).toBe(2);
    expect(warnings).toEqual([
      expect.stringMatching(/^Answers of workers are not checked: two engines .* 30%/),
    ]);
  });

  it('goes on without checks where this machine cannot compute the model, and says so once', async () => {
    const fails = (): Promise<never> => Promise.reject(new Error('No kernel for that'));
    const { join, gradient, warnings } = inspected({ referee: { ...truth, open: fails, gradient: fails } });
    const ann = await join('ann');
    const round = await gradient(1);
    await finish(round, [ann]);
    expect(round.result).toMatchObject({ gradientSum: Float32Array.from(ALL) });
    expect(warnings).toEqual([
      expect.stringMatching(/^Answers of workers are not checked: No kernel for that\./),
    ]);
  });

  it('repeats a step of whose sum a worker that has left sent a part alone', async () => {
    const { join, gradient } = inspected({ tailCuts: [4] });
    const [ann, eve] = [await join('ann', { tails: true }), await join('eve', { tails: true })];
    const round = await gradient(1);
    await sendTail(eve, [1e30, 1e30]);
    await eve.say({ type: 'leaving', reason: 'done' });
    for (let i = 0; i < 4 && round.result === null; i++) {
      await sendTail(ann);
      await sendHead(ann);
      await settle();
    }
    const { gradientSum } = round.result as { gradientSum: Float32Array };
    expect(Math.max(...gradientSum)).toBeLessThanOrEqual(2);
  });

  it('puts weights back that parts of a wrong gradient have changed, and sends them again', async () => {
    const { join, gradient, weights } = inspected({ tailCuts: [4] });
    const [ann, eve] = [await join('ann', { tails: true }), await join('eve', { tails: true })];
    const round = await gradient(1);
    await sendTail(eve, [1e6, 1e6]);
    await sendTail(ann);
    expect([...weights]).toEqual([1, 2, 3, 4, 15, 16]);
    await sendHead(eve);
    await sendHead(ann);
    await settle();
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect([...weights]).toEqual([1, 2, 3, 4, 5, 6]);
    await sendTail(ann);
    await sendHead(ann);
    await settle();
    expect(round.result).toMatchObject({ gradientSum: Float32Array.from(ALL) });
    expect([...weights]).toEqual([11, 12, 13, 14, 15, 16]);
  });

  it('repeats an evaluation without a worker that says what is not so', async () => {
    const { join, evaluate, pool, warnings } = inspected({ samples: 600 });
    const [ann, eve] = [await join('ann'), await join('eve')];
    const round = await evaluate(3);
    const answered = new Map<Client, Set<number>>([
      [ann, new Set()],
      [eve, new Set()],
    ]);
    for (let turn = 0; turn < 20 && round.result === null; turn++) {
      for (const [client, done] of answered) {
        for (const { shard, samples } of client.messages('shard')) {
          if (client.closed !== null || done.has(shard)) continue;
          done.add(shard);
          await client.answer(client === eve ? { shard, correct: samples, lossSum: 0 } : { shard });
        }
      }
      await settle();
    }
    expect(answered.get(eve)?.size).toBeGreaterThan(0);
    expect(round.result).toMatchObject({ lossSum: 600, correct: 3 });
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect(pool.members.size).toBe(1);
    expect(warnings).toEqual([expect.stringContaining('eve (wasm on 2 cores) is banned')]);
  });
});

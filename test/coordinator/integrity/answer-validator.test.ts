import { describe, expect, it } from 'vitest';
import {
  AnswerValidator,
  type AnswerValidatorOptions,
} from '../../../coordinator/integrity/answer-validator.ts';
import { int4 } from '../../../shared/codec/packed.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { ShardId } from '../../../shared/protocol/messages.ts';
import { exampleJob, step } from '../../shared/protocol/examples.ts';
import { fixedRandom } from '../../support/property.ts';
import { settle } from '../../support/manual-clock.ts';
import type { Client } from '../pool/pool-harness.ts';
import { testRunner } from '../training/step-harness.ts';
import { sendBucket, sendLast } from '../training/buckets-harness.ts';

type Referee = AnswerValidatorOptions['referenceEngine'];

/** The right answer to every shard: ones, a loss of one for each sample, one hit. */
const truth: Referee = {
  open: () => Promise.resolve(),
  gradient: (_, __, { labels }) =>
    Promise.resolve({ lossSum: labels.length, correct: 1, gradient: new Float32Array(6).fill(1) }),
  evaluate: (_, { labels }) => Promise.resolve({ lossSum: labels.length, correct: 1 }),
  verifyEngine: () => Promise.resolve(null),
  close: () => Promise.resolve(),
};

interface Setting {
  readonly referee?: Referee;
  readonly audit?: number;
  readonly bucketOffsets?: readonly number[];
  readonly int4?: boolean;
  readonly samples?: number;
}

function inspected({
  referee: referenceEngine = truth,
  audit = 0,
  bucketOffsets = [0],
  int4 = false,
  samples = 8,
}: Setting = {}) {
  const made: { inspector: AnswerValidator | null } = { inspector: null };
  const codecs = int4 ? { up: 'int4', down: 'float32' } : undefined;
  const runner = testRunner(samples, bucketOffsets, codecs, ({ pool, clock }, warn) => {
    const report = { warn, info: warn };
    made.inspector = new AnswerValidator({
      pool,
      clock,
      report,
      referenceEngine,
      audit,
      job: exampleJob,
      random: fixedRandom(),
    });
    return made.inspector;
  });
  return { ...runner, inspector: made.inspector as unknown as AnswerValidator };
}

/** A referee that takes no time, or until `release`. */
function slowReferee() {
  let released = Promise.resolve();
  let release = (): void => undefined;
  const referee: Referee = {
    ...truth,
    gradient: async (...given) => {
      await released;
      return truth.gradient(...given);
    },
  };
  return {
    referee,
    hold: () => void (released = new Promise((resolve) => (release = resolve))),
    release: () => release(),
  };
}

const lastShard = (client: Client): ShardId => client.messages('shard').at(-1)!.shard;

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

const int4Of = (values: readonly number[]): Uint8Array => {
  const payload = new Uint8Array(int4.bytes(values.length));
  int4.encode(Float32Array.from(values), payload);
  return payload;
};

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
      expect(pool.workers.size).toBe(2);
      expect(warnings).toEqual([
        expect.stringMatching(
          /^eve \(wasm on 2 cores\) is banned: the gradient .* of step 1 differs by .* honest engines differ by at most .*\. 1 answer of this worker had been accepted\.$/,
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
    expect(pool.workers.size).toBe(5);
    const lies = new Map([
      [eve, times(1e6)],
      [mal, times(1e6)],
    ]);
    const round = await gradient(2);
    await finish(round, [ann, bob, cyd, eve, mal], lies);
    expect(round.result).toMatchObject({ gradientSum: Float32Array.from(times(3)) });
    expect([...pool.workers.values()].map(({ name }) => name)).toEqual(['ann', 'bob', 'cyd']);
  });

  it('finds a lie of the usual size while it goes on, and says from which step on it has to be done again', async () => {
    const { join, gradient, pool, inspector, clock } = inspected();
    const [ann, eve] = [await join('ann'), await join('eve')];
    await finish(await gradient(0), [ann, eve]);
    expect(inspector.consumeRewindRequest()).toBeNull();
    // Too small to be odd, too large for an honest engine.
    const lie = new Map([[eve, times(1.6)]]);
    let number = 1;
    for (; pool.workers.size === 2 && number < 50; number++) {
      await finish(await gradient(number), [ann, eve], lie);
      await inspector.waitForChecks();
      await clock.advance(1_000);
    }
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    // Nothing of it was confirmed since the step before.
    expect(inspector.consumeRewindRequest()).toBe(1);
    expect(inspector.consumeRewindRequest()).toBeNull();
  });

  it('goes back for a worker that has left before its answer was recomputed', async () => {
    const { referee, hold, release } = slowReferee();
    const { join, gradient, pool, inspector, warnings } = inspected({ referee });
    const eve = await join('eve');
    await finish(await gradient(0), [eve]);
    await inspector.waitForChecks();
    hold();
    await finish(await gradient(1), [eve], new Map([[eve, times(1.6)]]));
    await eve.say({ type: 'leaving', reason: 'done' });
    expect(pool.workers.size).toBe(0);
    release();
    await inspector.waitForChecks();
    expect(warnings).toEqual([
      expect.stringMatching(/^A worker that has left gave a wrong answer: the gradient/),
    ]);
    expect(inspector.consumeRewindRequest()).toBe(1);
  });

  it('goes back to a wrong answer that counted while an earlier one was recomputed', async () => {
    const { referee, hold, release } = slowReferee();
    const { join, gradient, inspector } = inspected({ referee });
    const eve = await join('eve');
    await finish(await gradient(0), [eve]);
    await inspector.waitForChecks();
    hold();
    const lie = new Map([[eve, times(1.6)]]);
    await finish(await gradient(1), [eve]);
    await finish(await gradient(2), [eve], lie);
    release();
    await inspector.waitForChecks();
    expect(eve.closed).toBeNull();
    await finish(await gradient(3), [eve], lie);
    await inspector.waitForChecks();
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect(inspector.consumeRewindRequest()).toBe(2);
  });

  it('goes back to the first wrong answer of a run that has gone back before', async () => {
    const { referee, hold, release } = slowReferee();
    const { join, gradient, inspector } = inspected({ referee });
    const eve = await join('eve');
    await finish(await gradient(0), [eve]);
    await inspector.waitForChecks();
    hold();
    const lie = new Map([[eve, times(1.6)]]);
    await finish(await gradient(8), [eve], lie);
    await finish(await gradient(3), [eve], lie);
    release();
    await inspector.waitForChecks();
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect(inspector.consumeRewindRequest()).toBe(3);
  });

  it('goes back to a wrong answer though a later one was confirmed before it was recomputed', async () => {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const referee: Referee = {
      ...truth,
      gradient: async (...given) => {
        if (given[0] === 1) await released;
        return truth.gradient(...given);
      },
    };
    const { join, gradient, inspector } = inspected({ referee });
    const eve = await join('eve');
    await finish(await gradient(0), [eve]);
    await inspector.waitForChecks();
    await finish(await gradient(1), [eve], new Map([[eve, times(1.6)]]));
    inspector.validateAllUntil(step(2));
    await finish(await gradient(2), [eve]);
    release();
    await inspector.waitForChecks();
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect(inspector.consumeRewindRequest()).toBe(1);
  });

  it('has every answer recomputed that an audit says, before it counts', async () => {
    const { join, gradient, pool } = inspected({ audit: 1 });
    const [ann, eve] = [await join('ann'), await join('eve')];
    await finish(await gradient(1), [ann, eve]);
    const round = await gradient(2);
    await finish(round, [ann, eve], new Map([[eve, times(1.6)]]));
    expect(round.result).toMatchObject({ gradientSum: Float32Array.from(ALL) });
    expect(pool.workers.size).toBe(1);
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
          int4.encodeWithResidual(gradientOf, owed[i]!, payload);
          const result = { samples, lossSum: samples, correct: 1, computeMs: 1 };
          await client.say({ type: 'gradient', step, shard, offset: 0, result }, payload);
        }
        await settle();
        expect(round.result).not.toBeNull();
      }
      expect(pool.workers.size).toBe(2);
    }
  });

  it('compares int4 gradients behind answers of earlier steps that were not asked for', async () => {
    const { join, gradient, pool } = inspected({ audit: 1, int4: true, bucketOffsets: [0, 4] });
    const codecs = ['float32', 'int4'];
    const [ann, eve] = [await join('ann', { codecs }), await join('eve', { codecs })];
    for (let number = 1; number <= 2 && eve.closed === null; number++) {
      await gradient(number);
      const shard = 0 as ShardId;
      if (number > 1) {
        await eve.say({ type: 'gradient', step: step(1), shard, offset: 4 }, new Uint8Array(int4.bytes(2)));
        await eve.answer({ shard }, ALL, int4);
      }
      await ann.answer({}, ALL, int4);
      const lie = number === 1 ? 1 : -1;
      await eve.say(
        { type: 'gradient', step: step(number), shard: eve.messages('shard').at(-1)!.shard, offset: 4 },
        int4Of([lie, lie]),
      );
      await eve.answer({}, [lie, lie, lie, lie], int4);
      await settle();
    }
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect(pool.workers.size).toBe(1);
  });

  it('bans no worker where two engines of this machine differ about the model, and says that it does not check', async () => {
    const { join, gradient, pool, warnings } = inspected({
      referee: { ...truth, verifyEngine: () => Promise.resolve(0.3) },
    });
    const [ann, bob] = [await join('ann'), await join('bob')];
    await finish(await gradient(1), [ann, bob], new Map([[ann, times(1.4)]]));
    expect(pool.workers.size).toBe(2);
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

  it('does not warn of an engine that is closed in the middle of a recomputation, at the end of the run', async () => {
    let close = (): void => undefined;
    const closed = new Promise<never>((_, reject) => {
      close = () => reject(new Error('The engine is closed.'));
    });
    const referee: Referee = {
      ...truth,
      gradient: async (...given) => {
        if (given[0] === 1) await closed;
        return truth.gradient(...given);
      },
      close: () => {
        close();
        return Promise.resolve();
      },
    };
    const { join, gradient, inspector, warnings } = inspected({ referee });
    const ann = await join('ann');
    await finish(await gradient(0), [ann]);
    await inspector.waitForChecks();
    await finish(await gradient(1), [ann]);
    await inspector.close();
    await inspector.waitForChecks();
    expect(warnings).toEqual([]);
  });

  it('repeats a step of whose sum a worker that has left sent a part alone', async () => {
    const { join, gradient } = inspected({ bucketOffsets: [0, 4] });
    const [ann, eve] = [await join('ann'), await join('eve')];
    const round = await gradient(1);
    await sendBucket(eve, 4, [1e30, 1e30]);
    await eve.say({ type: 'leaving', reason: 'done' });
    for (let i = 0; i < 4 && round.result === null; i++) {
      await sendBucket(ann, 4);
      await sendLast(ann);
      await settle();
    }
    const { gradientSum } = round.result as { gradientSum: Float32Array };
    expect(Math.max(...gradientSum)).toBeLessThanOrEqual(2);
  });

  it('repeats it so that no second worker can do the same', async () => {
    const { join, gradient } = inspected({ bucketOffsets: [0, 4] });
    const [ann, eve] = [await join('ann'), await join('eve')];
    const mal = await join('mal');
    const answered = new Set<number>();
    const answer = async (client: Client): Promise<void> => {
      for (let shard = lastShard(client); !answered.has(shard); shard = lastShard(client)) {
        answered.add(shard);
        await sendBucket(client, 4);
        await sendLast(client);
      }
    };
    const lieAndLeave = async (client: Client): Promise<void> => {
      await sendBucket(client, 4, [1e30, 1e30]);
      await client.say({ type: 'leaving', reason: 'done' });
    };
    const round = await gradient(1);
    await lieAndLeave(eve);
    await answer(ann);
    // The step ends with this, and is begun again.
    answered.add(lastShard(mal));
    await sendBucket(mal, 4);
    await sendLast(mal);
    expect(round.result).toBeNull();
    expect(answered).not.toContain(lastShard(mal));
    await lieAndLeave(mal);
    await answer(ann);
    const { gradientSum } = round.result as { gradientSum: Float32Array };
    expect(Math.max(...gradientSum)).toBeLessThanOrEqual(2);
  });

  it('puts weights back that parts of a wrong gradient have changed, and sends them again', async () => {
    const { join, gradient, weights } = inspected({ bucketOffsets: [0, 4] });
    const [ann, eve] = [await join('ann'), await join('eve')];
    const round = await gradient(1);
    await sendBucket(eve, 4, [1e6, 1e6]);
    await sendBucket(ann, 4);
    expect([...weights]).toEqual([1, 2, 3, 4, 15, 16]);
    await sendLast(eve);
    await sendLast(ann);
    await settle();
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect([...weights]).toEqual([1, 2, 3, 4, 5, 6]);
    await sendBucket(ann, 4);
    await sendLast(ann);
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
    expect(pool.workers.size).toBe(1);
    expect(warnings).toEqual([expect.stringContaining('eve (wasm on 2 cores) is banned')]);
  });
});

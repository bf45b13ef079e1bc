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

type Reference = AnswerValidatorOptions['referenceEngine'];

/** Gives the right answer to every shard: ones, a loss of one for each sample, one correct sample. */
const correctReference: Reference = {
  open: () => Promise.resolve(),
  gradient: (_, __, { labels }) =>
    Promise.resolve({ lossSum: labels.length, correct: 1, gradient: new Float32Array(6).fill(1) }),
  evaluate: (_, { labels }) => Promise.resolve({ lossSum: labels.length, correct: 1 }),
  verifyEngine: () => Promise.resolve(null),
  close: () => Promise.resolve(),
};

interface Setting {
  readonly referenceEngine?: Reference;
  readonly audit?: number;
  readonly bucketOffsets?: readonly number[];
  readonly int4?: boolean;
  readonly samples?: number;
}

function validatedRun({
  referenceEngine = correctReference,
  audit = 0,
  bucketOffsets = [0],
  int4 = false,
  samples = 8,
}: Setting = {}) {
  const made: { validator: AnswerValidator | null } = { validator: null };
  const codecs = int4 ? { up: 'int4', down: 'float32' } : undefined;
  const runner = testRunner(samples, bucketOffsets, codecs, ({ pool, clock }, warn) => {
    const report = { warn, info: warn };
    made.validator = new AnswerValidator({
      pool,
      clock,
      report,
      referenceEngine,
      audit,
      job: exampleJob,
      random: fixedRandom(),
    });
    return made.validator;
  });
  return { ...runner, validator: made.validator as unknown as AnswerValidator };
}

/** Reference engine that computes at once, or after hold() only when released. */
function slowReference() {
  let released = Promise.resolve();
  let release = (): void => undefined;
  const referenceEngine: Reference = {
    ...correctReference,
    gradient: async (...request) => {
      await released;
      return correctReference.gradient(...request);
    },
  };
  return {
    referenceEngine,
    hold: () => void (released = new Promise((resolve) => (release = resolve))),
    release: () => release(),
  };
}

const lastShard = (client: Client): ShardId => client.messages('shard').at(-1)!.shard;

/** Answers the shards of a step until it is done, with the values of each client. @default ones */
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

describe('a run with checked answers', () => {
  it.each([1e30, 1e18, 3e38, -1, -3, -9, 0, 2])(
    'bans a worker whose first answer is %d times the right one, and does not use the answer',
    async (factor) => {
      const { join, gradient, pool, warnings } = validatedRun({ samples: 9 });
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

  it('bans two of five workers with the same wrong answer, and no honest worker', async () => {
    const { join, gradient, pool } = validatedRun({ samples: 10 });
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

  it('finds a wrong answer of normal size in the background, and requests a rewind to its step', async () => {
    const { join, gradient, pool, validator, clock } = validatedRun();
    const [ann, eve] = [await join('ann'), await join('eve')];
    await finish(await gradient(0), [ann, eve]);
    expect(validator.consumeRewindRequest()).toBeNull();
    // Too small for an outlier, too large for an honest engine.
    const lie = new Map([[eve, times(1.6)]]);
    let number = 1;
    for (; pool.workers.size === 2 && number < 50; number++) {
      await finish(await gradient(number), [ann, eve], lie);
      await validator.waitForChecks();
      await clock.advance(1_000);
    }
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    // The last confirmed answer is that of the step before.
    expect(validator.consumeRewindRequest()).toBe(1);
    expect(validator.consumeRewindRequest()).toBeNull();
  });

  it('rewinds for a worker that has left before its answer was recomputed', async () => {
    const { referenceEngine, hold, release } = slowReference();
    const { join, gradient, pool, validator, warnings } = validatedRun({ referenceEngine });
    const eve = await join('eve');
    await finish(await gradient(0), [eve]);
    await validator.waitForChecks();
    hold();
    await finish(await gradient(1), [eve], new Map([[eve, times(1.6)]]));
    await eve.say({ type: 'leaving', reason: 'done' });
    expect(pool.workers.size).toBe(0);
    release();
    await validator.waitForChecks();
    expect(warnings).toEqual([
      expect.stringMatching(/^A worker that has left gave a wrong answer: the gradient/),
    ]);
    expect(validator.consumeRewindRequest()).toBe(1);
  });

  it('rewinds to a wrong answer that was used while an earlier one was recomputed', async () => {
    const { referenceEngine, hold, release } = slowReference();
    const { join, gradient, validator } = validatedRun({ referenceEngine });
    const eve = await join('eve');
    await finish(await gradient(0), [eve]);
    await validator.waitForChecks();
    hold();
    const lie = new Map([[eve, times(1.6)]]);
    await finish(await gradient(1), [eve]);
    await finish(await gradient(2), [eve], lie);
    release();
    await validator.waitForChecks();
    expect(eve.closed).toBeNull();
    await finish(await gradient(3), [eve], lie);
    await validator.waitForChecks();
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect(validator.consumeRewindRequest()).toBe(2);
  });

  it('rewinds to the first wrong answer of a run that was rewound before', async () => {
    const { referenceEngine, hold, release } = slowReference();
    const { join, gradient, validator } = validatedRun({ referenceEngine });
    const eve = await join('eve');
    await finish(await gradient(0), [eve]);
    await validator.waitForChecks();
    hold();
    const lie = new Map([[eve, times(1.6)]]);
    await finish(await gradient(8), [eve], lie);
    await finish(await gradient(3), [eve], lie);
    release();
    await validator.waitForChecks();
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect(validator.consumeRewindRequest()).toBe(3);
  });

  it('rewinds to a wrong answer if a later answer was confirmed before it was recomputed', async () => {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const referenceEngine: Reference = {
      ...correctReference,
      gradient: async (...request) => {
        if (request[0] === 1) await released;
        return correctReference.gradient(...request);
      },
    };
    const { join, gradient, validator } = validatedRun({ referenceEngine });
    const eve = await join('eve');
    await finish(await gradient(0), [eve]);
    await validator.waitForChecks();
    await finish(await gradient(1), [eve], new Map([[eve, times(1.6)]]));
    validator.validateAllUntil(step(2));
    await finish(await gradient(2), [eve]);
    release();
    await validator.waitForChecks();
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect(validator.consumeRewindRequest()).toBe(1);
  });

  it('recomputes the answers that the audit selects before they are used', async () => {
    const { join, gradient, pool } = validatedRun({ audit: 1 });
    const [ann, eve] = [await join('ann'), await join('eve')];
    await finish(await gradient(1), [ann, eve]);
    const round = await gradient(2);
    await finish(round, [ann, eve], new Map([[eve, times(1.6)]]));
    expect(round.result).toMatchObject({ gradientSum: Float32Array.from(ALL) });
    expect(pool.workers.size).toBe(1);
  });

  it('bans no honest worker whose gradients are int4, with or without an audit', async () => {
    for (const audit of [0, 1]) {
      // The quantization step is a seventh of the largest value, so most of the other values is lost.
      const values = [1, 0.06, 0.06, 0.06, 0.06, 0.06];
      const gradientOf = Float32Array.from(values);
      const referenceEngine = {
        ...correctReference,
        gradient: (...[, , { labels }]: Parameters<Reference['gradient']>) =>
          Promise.resolve({ lossSum: labels.length, correct: 1, gradient: gradientOf }),
      };
      const { join, gradient, pool } = validatedRun({ audit, int4: true, referenceEngine });
      const codecs = { codecs: ['float32', 'int4'] };
      const clients = [await join('ann', codecs), await join('bob', codecs)];
      const residuals = clients.map(() => new Float32Array(6));
      for (let number = 1; number <= 12; number++) {
        const round = await gradient(number);
        for (const [i, client] of clients.entries()) {
          const { step, shard, samples } = client.messages('shard').at(-1)!;
          const payload = new Uint8Array(int4.bytes(6));
          int4.encodeWithResidual(gradientOf, residuals[i]!, payload);
          const result = { samples, lossSum: samples, correct: 1, computeMs: 1 };
          await client.say({ type: 'gradient', step, shard, offset: 0, result }, payload);
        }
        await settle();
        expect(round.result).not.toBeNull();
      }
      expect(pool.workers.size).toBe(2);
    }
  });

  it('compares int4 gradients after unexpected answers to earlier steps', async () => {
    const { join, gradient, pool } = validatedRun({ audit: 1, int4: true, bucketOffsets: [0, 4] });
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

  it('bans no worker if two engines of this machine differ, and warns that answers are not checked', async () => {
    const { join, gradient, pool, warnings } = validatedRun({
      referenceEngine: { ...correctReference, verifyEngine: () => Promise.resolve(0.3) },
    });
    const [ann, bob] = [await join('ann'), await join('bob')];
    await finish(await gradient(1), [ann, bob], new Map([[ann, times(1.4)]]));
    expect(pool.workers.size).toBe(2);
    expect(warnings).toEqual([
      expect.stringMatching(/^Answers of workers are not checked: two engines .* 30%/),
    ]);
  });

  it('continues without checks if this machine cannot compute the model, and warns once', async () => {
    const fails = (): Promise<never> => Promise.reject(new Error('No kernel for that'));
    const { join, gradient, warnings } = validatedRun({
      referenceEngine: { ...correctReference, open: fails, gradient: fails },
    });
    const ann = await join('ann');
    const round = await gradient(1);
    await finish(round, [ann]);
    expect(round.result).toMatchObject({ gradientSum: Float32Array.from(ALL) });
    expect(warnings).toEqual([
      expect.stringMatching(/^Answers of workers are not checked: No kernel for that\./),
    ]);
  });

  it('does not warn about an engine that is closed during a recomputation at the end of the run', async () => {
    let close = (): void => undefined;
    const closed = new Promise<never>((_, reject) => {
      close = () => reject(new Error('The engine is closed.'));
    });
    const referenceEngine: Reference = {
      ...correctReference,
      gradient: async (...request) => {
        if (request[0] === 1) await closed;
        return correctReference.gradient(...request);
      },
      close: () => {
        close();
        return Promise.resolve();
      },
    };
    const { join, gradient, validator, warnings } = validatedRun({ referenceEngine });
    const ann = await join('ann');
    await finish(await gradient(0), [ann]);
    await validator.waitForChecks();
    await finish(await gradient(1), [ann]);
    await validator.close();
    await validator.waitForChecks();
    expect(warnings).toEqual([]);
  });

  it('repeats a step whose sum contains a bucket of a worker that has left', async () => {
    const { join, gradient } = validatedRun({ bucketOffsets: [0, 4] });
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

  it('repeats a step again if a second worker leaves after a wrong bucket', async () => {
    const { join, gradient } = validatedRun({ bucketOffsets: [0, 4] });
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
    // This answer completes the step, which is then repeated.
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

  it('restores weights that buckets of a wrong gradient have changed, and sends them again', async () => {
    const { join, gradient, weights } = validatedRun({ bucketOffsets: [0, 4] });
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

  it('repeats an evaluation without a worker that gave a wrong answer', async () => {
    const { join, evaluate, pool, warnings } = validatedRun({ samples: 600 });
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

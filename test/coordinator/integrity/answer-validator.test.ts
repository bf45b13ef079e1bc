import { describe, expect, it } from 'vitest';
import { int4 } from '../../../shared/codec/packed.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { ShardId } from '../../../shared/protocol/messages.ts';
import { step } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import type { Client } from '../pool/pool-harness.ts';
import { ALL, correctReference, finish, times, validatedRun, type Reference } from './validator-harness.ts';

const int4Of = (values: readonly number[]): Uint8Array => {
  const payload = new Uint8Array(int4.bytes(values.length));
  int4.encode(Float32Array.from(values), payload);
  return payload;
};

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
        gradient: (...[, , { sampleNumbers }]: Parameters<Reference['gradient']>) =>
          Promise.resolve({ lossSum: sampleNumbers.length, metrics: [1], gradient: gradientOf }),
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
          const result = { samples, lossSum: samples, metrics: [1], computeMs: 1 };
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
          await client.answer(client === eve ? { shard, metrics: [samples], lossSum: 0 } : { shard });
        }
      }
      await settle();
    }
    expect(answered.get(eve)?.size).toBeGreaterThan(0);
    expect(round.result).toMatchObject({ lossSum: 600, metrics: [3] });
    expect(eve.closed).toMatchObject({ code: CloseCode.wrongGradient });
    expect(pool.workers.size).toBe(1);
    expect(warnings).toEqual([expect.stringContaining('eve (wasm on 2 cores) is banned')]);
  });
});

import { describe, expect, it } from 'vitest';
import type { Worker } from '../../../coordinator/pool/worker.ts';
import { getCodec } from '../../../shared/codec/registry.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { Client } from '../pool/pool-harness.ts';
import { settle } from '../../support/manual-clock.ts';
import { testRunner, type TestRunner } from '../training/step-harness.ts';
import { heldBy } from '../weights/updates-harness.ts';

const ADAPTIVE = { codecs: ['float32', 'float16', 'int8', 'int4'], switchCodecs: true };
/** Milliseconds a byte: even six values take long. */
const SLOW = 100;
const FAST = 1e-6;

function workerOf({ pool }: TestRunner, client: Client): Worker {
  return pool.workers.get(client.messages('welcome')[0]!.workerId as Worker['id'])!;
}

/** Records measurements of a link with this rate. */
function measure({ link }: Worker, msPerByte: number): void {
  const { meter, codec, updateCodec } = link;
  const bytes = getCodec(codec).bytes(6) + getCodec(updateCodec ?? 'float32').bytes(6);
  for (let i = 0; i < 6; i++) {
    meter.recordDownload([{ bytes: 1e6, elapsedMs: msPerByte * 1e6 }]);
    meter.recordUpload(1e6, msPerByte * 1e6);
    meter.recordAnswer({ samples: 4, computeMs: 1, turnaroundMs: 1 + bytes * msPerByte });
  }
}

/** Answers the last shard in the codec that it requests. */
async function answer(client: Client): Promise<void> {
  const { encoding } = client.messages('shard').at(-1)!;
  await client.answer(encoding === undefined ? {} : { encoding }, undefined, getCodec(encoding ?? 'float32'));
}

describe('adaptive codecs', () => {
  it('change during a run, and all workers keep the same weights', async () => {
    const runner = testRunner(8, [0, 2, 3, 5], 'auto');
    const ann = await runner.join('ann', ADAPTIVE);
    const bob = await runner.join('bob', ADAPTIVE);
    const old = await runner.join('old', { codecs: ['float32', 'int8'] });
    const all = [ann, bob, old];
    expect(all.map((client) => client.messages('welcome')[0]?.updateCodec)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    // The third worker cannot switch codecs, so it receives whole weights throughout.
    expect(all.map((client) => client.messages('welcome')[0]?.updates)).toEqual([
      undefined,
      undefined,
      false,
    ]);
    const used: string[] = [];
    for (let k = 1; k <= 230; k++) {
      // First only ann's link is slow, then none, then only bob's.
      measure(workerOf(runner, ann), k > 2 && k <= 10 ? SLOW : FAST);
      measure(workerOf(runner, bob), k > 220 ? SLOW : FAST);
      const round = await runner.gradient(k);
      const [first, ...others] = all.map((client) => heldBy(client).weights);
      expect(others).toEqual([first, first]);
      for (const [i, weight] of first!.entries()) {
        expect(Math.abs(weight - runner.weights[i]!)).toBeLessThan(0.5);
      }
      for (const client of all) await answer(client);
      await settle();
      expect(round.result).not.toBeNull();
      used.push(
        all
          .map((client) => workerOf(runner, client))
          .map(({ link }) => `${link.codec}/${link.updateCodec ?? '-'}`)
          .join(' '),
      );
    }
    expect(used[0]).toBe('float32/- float32/- float32/-');
    expect(used[9]).toBe('int4/int4 float32/int4 float32/-');
    expect(used[219]).toBe('float32/- float32/- float32/-');
    expect(used[229]).toBe('float32/int4 int4/int4 float32/-');
    expect(old.messages('shard').some(({ encoding }) => encoding !== undefined)).toBe(false);
    expect(ann.closed ?? bob.closed ?? old.closed).toBeNull();
  });

  it('stay float32 for a worker that cannot switch codecs', async () => {
    const runner = testRunner(8, [0], 'auto');
    const ann = await runner.join('ann', { ...ADAPTIVE, switchCodecs: false });
    for (let k = 1; k <= 4; k++) {
      measure(workerOf(runner, ann), SLOW);
      await runner.gradient(k);
      await answer(ann);
    }
    expect(ann.messages('shard').every(({ encoding }) => encoding === undefined)).toBe(true);
    expect(ann.messages('update')).toEqual([]);
  });

  it('are rejected in an answer if the coordinator did not request them', async () => {
    const runner = testRunner(8, [0], 'auto');
    const ann = await runner.join('ann', { codecs: ['float32', 'int8'] });
    await runner.gradient(1);
    await ann.answer({ encoding: 'int8' }, undefined, getCodec('int8'));
    expect(ann.messages('rejected')).toMatchObject([{ code: CloseCode.unexpected }]);
  });

  it('are rejected in an answer to a shard that requests another codec', async () => {
    const runner = testRunner(8, [0], 'auto');
    const ann = await runner.join('ann', ADAPTIVE);
    await runner.gradient(1);
    expect(ann.messages('shard').at(-1)?.encoding).toBeUndefined();
    await ann.answer({ encoding: 'int8' }, undefined, getCodec('int8'));
    expect(ann.messages('rejected')).toMatchObject([
      { code: CloseCode.unexpected, reason: 'No gradient was requested in int8.' },
    ]);
    await answer(ann);
    for (let k = 2; ann.messages('shard').at(-1)?.encoding === undefined; k++) {
      expect(k).toBeLessThan(20);
      measure(workerOf(runner, ann), SLOW);
      await runner.gradient(k);
      if (ann.messages('shard').at(-1)?.encoding === undefined) await answer(ann);
    }
    await ann.answer();
    expect(ann.messages('rejected')[1]).toMatchObject({
      code: CloseCode.unexpected,
      reason: 'The gradient was requested in int4.',
    });
  });

  it('are reported when they change', async () => {
    const runner = testRunner(8, [0], 'auto');
    const ann = await runner.join('ann', ADAPTIVE);
    const reported: string[] = [];
    runner.pool.subscribe({ codecChanged: ({ name }, reason) => reported.push(`${name}: ${reason}`) });
    await runner.gradient(1);
    await answer(ann);
    measure(workerOf(runner, ann), SLOW);
    await runner.gradient(2);
    expect(reported).toHaveLength(1);
    expect(reported[0]).toMatch(/^ann: Gradients and weights are now sent as int4\/int4\. The link has/);
    expect(runner.pool.codecsInUse).toBe('int4/int4');
  });
});

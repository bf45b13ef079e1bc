import { describe, expect, it } from 'vitest';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { ShardId } from '../../../shared/protocol/messages.ts';
import { settle } from '../../support/manual-clock.ts';
import type { Client } from '../pool/pool-harness.ts';
import { sendBucket, sendLast } from '../training/buckets-harness.ts';
import { ALL, validatedRun } from './validator-harness.ts';

const lastShard = (client: Client): ShardId => client.messages('shard').at(-1)!.shard;

describe('a step with buckets of a wrong gradient', () => {
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
});

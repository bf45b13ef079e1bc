import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Interrupted } from '../../../coordinator/training/errors.ts';
import { WeightsBroadcast } from '../../../coordinator/training/weights-broadcast.ts';
import { int8 } from '../../../shared/codec/int8.ts';
import { codecNamed } from '../../../shared/codec/codec.ts';
import { HeldWeights } from '../../../shared/worker/held-weights.ts';
import { receiveUpdate, noPieces } from '../../../shared/worker/received-weights.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import type { Client } from '../members/pool-harness.ts';
import { settle } from '../../support/manual-clock.ts';
import { testRunner, type TestRunner } from './runner-harness.ts';

const TAIL_FROM = 4;
const CODECS = { up: 'float32', down: 'int8' };
const KNOWN = { codecs: ['float32', 'int8'] };
const [WITH_TAILS, WITHOUT] = [
  { ...KNOWN, tails: true },
  { ...KNOWN, tails: false },
];

/** What a client was sent, in short. */
const sentTo = (client: Client): string[] =>
  client.received.slice(1).map(({ message }) => {
    if (message.type === 'update') return `update ${message.step} from ${message.from ?? 0}`;
    return message.type === 'weights' || message.type === 'weightsTail'
      ? `${message.type} ${message.step}`
      : message.type;
  });

/** What a client makes of all that it was sent: the weights that it holds now, and their step. */
function heldBy(client: Client): { readonly step: number; readonly weights: number[] } {
  const held = new HeldWeights(codecNamed('int8'), 6);
  let [pieces, at, weights]: [typeof noPieces, Step | null, number[]] = [noPieces, null, []];
  for (const { message, payload } of client.received) {
    if (message.type === 'weights') {
      const whole = new Float32Array(payload.slice().buffer);
      held.set(whole);
      [pieces, at, weights] = [noPieces, message.step, [...whole]];
    } else if (message.type === 'update') {
      const received = receiveUpdate(pieces, message, payload.slice(), at);
      pieces = received.pieces;
      if (received.update !== null) [at, weights] = [message.step, [...held.apply(received.update)]];
    }
  }
  return { step: at ?? -1, weights };
}

/** Everybody answers the shards of a round. */
async function answerAll(...clients: Client[]): Promise<void> {
  for (const client of clients) await client.answer();
}

async function twoAt(stepNumber: number, runner: TestRunner): Promise<readonly [Client, Client]> {
  const clients = [await runner.join('ann', WITHOUT), await runner.join('bob', WITHOUT)] as const;
  for (let k = 1; k <= stepNumber; k++) {
    await runner.gradient(k);
    if (k < stepNumber) await answerAll(...clients);
  }
  return clients;
}

describe('updates', () => {
  it('are announced to those who know their codec; the others get weights', async () => {
    const { join } = testRunner(8, null, CODECS);
    const [ann, bob] = [await join('ann', KNOWN), await join('bob')];
    expect(ann.messages('welcome')).toMatchObject([{ codec: 'float32', updateCodec: 'int8' }]);
    expect(bob.messages('welcome')[0]).not.toHaveProperty('updateCodec');
  });

  it('follow weights that came whole once, the same bytes to everybody', async () => {
    const runner = testRunner(8, null, CODECS);
    const [ann, bob] = await twoAt(3, runner);
    for (const client of [ann, bob]) {
      expect(sentTo(client)).toEqual([
        'weights 1',
        'shard',
        'update 2 from 0',
        'shard',
        'update 3 from 0',
        'shard',
      ]);
    }
    const updatesOf = ({ received }: Client): Uint8Array[] =>
      received.filter(({ message }) => message.type === 'update').map(({ payload }) => payload);
    expect(updatesOf(ann)).toEqual(updatesOf(bob));
    expect(updatesOf(ann)[0]?.length).toBe(int8.bytes(6));
    expect(heldBy(ann)).toEqual({ step: 3, weights: [21, 22, 23, 24, 25, 26] });
  });

  it('keep close to the weights over many steps: what one loses is in the next', async () => {
    const runner = testRunner(8, null, CODECS);
    const ann = await runner.join('ann', WITHOUT);
    for (let k = 1; k <= 60; k++) {
      runner.weights.forEach((_, i) => {
        runner.weights[i] = Math.fround(runner.weights[i]! + Math.sin(k * (i + 1)) / (i + 1) ** 3);
      });
      await runner.gradient(k);
      const { step, weights } = heldBy(ann);
      expect(step).toBe(k);
      for (const [i, weight] of weights.entries()) {
        // Between two steps a weight moves by 11 at most, of which an update may lose half a 127th.
        expect(Math.abs(weight - runner.weights[i]!)).toBeLessThan(11.2 / 254);
      }
      await ann.answer();
    }
  });

  it('start with the weights of the others for somebody who joins, in mid-step too', async () => {
    const runner = testRunner(8, null, CODECS);
    const [ann, bob] = await twoAt(2, runner);
    const cyd = await runner.join('cyd', WITHOUT);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    expect(sentTo(cyd)).toEqual(['weights 2', 'shard']);
    expect(heldBy(cyd)).toEqual(heldBy(bob));
    await answerAll(bob, cyd);
    await bob.answer();
    await runner.gradient(3);
    expect(sentTo(cyd)).toEqual(['weights 2', 'shard', 'update 3 from 0', 'shard']);
    expect(heldBy(cyd)).toEqual(heldBy(bob));
  });

  it('are not for whoever has missed one: the weights come whole again', async () => {
    const { pool, join } = testRunner(8, null, CODECS);
    const [ann, cyd] = [await join('ann', WITHOUT), await join('cyd', WITHOUT)];
    const [annMember, cydMember] = [...pool.members.values()];
    const broadcast = new WeightsBroadcast(pool, 6, 6);
    const weights = Float32Array.of(1, 2, 3, 4, 5, 6);
    // Of the second step, cyd gets nothing.
    for (const [k, members] of [
      [1, [annMember!, cydMember!]],
      [2, [annMember!]],
      [3, [annMember!, cydMember!]],
    ] as const) {
      broadcast.begin(k as Step, weights, { exact: false });
      members.forEach((member) => broadcast.bring(member));
      weights.forEach((weight, i) => (weights[i] = weight + 0.1 * (i + k)));
      await settle();
    }
    expect(sentTo(ann)).toEqual(['weights 1', 'update 2 from 0', 'update 3 from 0']);
    expect(sentTo(cyd)).toEqual(['weights 1', 'weights 3']);
    expect(heldBy(cyd)).toEqual(heldBy(ann));
    expect(heldBy(cyd).step).toBe(3);
  });

  it('make the weights that float32 workers get too, so that all compute with the same bits', async () => {
    const runner = testRunner(8, null, CODECS);
    const [ann, bob] = [await runner.join('ann', WITHOUT), await runner.join('bob', { tails: false })];
    runner.weights.set([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
    for (let k = 1; k <= 4; k++) {
      await runner.gradient(k);
      runner.weights[0] = runner.weights[0]! + 0.01;
      expect(heldBy(bob)).toEqual(heldBy(ann));
      expect(sentTo(bob).at(-2)).toBe(`weights ${k}`);
      await answerAll(ann, bob);
    }
    expect(sentTo(ann).at(-2)).toBe('update 4 from 0');
  });

  it('leave everybody exact weights where nobody takes any', async () => {
    const runner = testRunner(8, null, CODECS);
    const bob = await runner.join('bob', { tails: false });
    await runner.gradient(1);
    await bob.answer();
    runner.weights[3] = 1e-20;
    await runner.gradient(2);
    expect(heldBy(bob).weights).toEqual([...runner.weights]);
    const ann = await runner.join('ann', WITHOUT);
    await bob.answer();
    await runner.gradient(3);
    expect(sentTo(ann)).toEqual(['weights 3', 'shard']);
    await answerAll(ann, bob);
    await runner.gradient(4);
    expect(sentTo(ann).slice(2)).toEqual(['update 4 from 0', 'shard']);
    expect(heldBy(ann)).toEqual(heldBy(bob));
  });

  it('end where the weights are evaluated, every bit of which counts; and go on from there', async () => {
    const runner = testRunner(8, null, CODECS);
    const [ann, bob] = await twoAt(2, runner);
    await answerAll(ann, bob);
    runner.weights[2] = 1 / 3;
    await runner.evaluate(3);
    const evaluating = [ann, bob].filter((client) => sentTo(client).at(-1) === 'shard');
    expect(evaluating.length).toBeGreaterThan(0);
    const [first] = evaluating;
    expect(sentTo(first!).at(-2)).toBe('weights 3');
    expect(heldBy(first!)).toEqual({ step: 3, weights: [...runner.weights] });
    await first!.answer();
    await runner.gradient(3);
    await answerAll(ann, bob);
    await runner.gradient(4);
    for (const client of [ann, bob]) expect(sentTo(client).at(-2)).toBe('update 4 from 0');
    expect(heldBy(ann)).toEqual(heldBy(bob));
  });
});

it('all hold the same bits of a step, whoever comes and goes, before it and in its middle', async () => {
  type Event = 'join' | 'joinWithTails' | 'joinPlain' | 'leave' | 'evaluate' | 'step';
  const event = fc.constantFrom<Event>(
    'join',
    'joinWithTails',
    'joinPlain',
    'leave',
    'evaluate',
    'step',
    'step',
  );
  const script = fc.array(fc.tuple(event, fc.constantFrom<Event>('join', 'joinPlain', 'leave', 'step')), {
    maxLength: 25,
  });
  await fc.assert(
    fc.asyncProperty(
      script,
      fc.constantFrom(2, 8),
      fc.constantFrom(null, TAIL_FROM),
      async (events, samples, tailFrom) => {
        const runner = testRunner(samples, tailFrom, CODECS);
        let clients = [await runner.join('first', WITHOUT)];
        let stepNumber = 1;
        const change = async (kind: Event): Promise<void> => {
          if (kind === 'join') clients.push(await runner.join('w', WITHOUT));
          else if (kind === 'joinWithTails') clients.push(await runner.join('w', WITH_TAILS));
          else if (kind === 'joinPlain') clients.push(await runner.join('w', { tails: false }));
          else if (kind === 'leave' && clients.length > 1) {
            await clients[0]!.say({ type: 'leaving', reason: 'lid closed' });
            clients = clients.slice(1);
          }
        };
        for (const [before, meanwhile] of events) {
          await change(before);
          if (before !== 'step' && before !== 'evaluate') continue;
          const evaluating = before === 'evaluate';
          const round = await (evaluating ? runner.evaluate(stepNumber) : runner.gradient(stepNumber));
          await change(meanwhile);
          const answered = new Set<number>();
          while (round.result === null) {
            for (const client of clients) {
              const shard = client.messages('shard').at(-1);
              if (shard === undefined || answered.has(shard.shard)) continue;
              answered.add(shard.shard);
              await client.answer();
            }
          }
          if (round.result instanceof Error) return false;
          // Throws where an update does not follow what came before.
          const held = clients.map(heldBy).filter(({ step }) => step === stepNumber);
          if (held.length === 0) return false;
          if (held.some(({ weights }) => weights.some((value, i) => value !== held[0]!.weights[i])))
            return false;
          if (!evaluating) {
            stepNumber++;
            runner.weights[stepNumber % 6] = Math.fround(runner.weights[stepNumber % 6]! * 1.01);
          }
        }
        return true;
      },
    ),
    { numRuns: 40 },
  );
}, 60_000);

describe('updates in pieces', () => {
  const sendTail = async (client: Client): Promise<void> => {
    const { step, shard } = client.messages('shard').at(-1)!;
    await client.say({ type: 'gradientTail', step, shard }, new Uint8Array(Float32Array.of(1, 1).buffer));
  };
  const sendHead = (client: Client): Promise<void> =>
    client.answer({ type: 'gradient', head: true }, [1, 1, 1, 1]);

  it('bring the tail ahead to those who take it, and both pieces later to the others', async () => {
    const runner = testRunner(8, TAIL_FROM, CODECS);
    const ann = await runner.join('ann', WITH_TAILS);
    const bob = await runner.join('bob', WITHOUT);
    const eve = await runner.join('eve', { tails: true });
    await runner.gradient(1);
    await sendTail(ann);
    await answerAll(bob, eve);
    expect(sentTo(ann)).toEqual(['weights 1', 'shard', 'update 2 from 4']);
    await sendHead(ann);
    await runner.gradient(2);
    expect(sentTo(ann).slice(2)).toEqual(['update 2 from 4', 'update 2 from 0', 'shard']);
    expect(sentTo(bob).slice(2)).toEqual(['update 2 from 4', 'update 2 from 0', 'shard']);
    expect(sentTo(eve).slice(2)).toEqual(['weights 2', 'shard']);
    expect(heldBy(ann)).toEqual(heldBy(bob));
    expect(heldBy(eve)).toEqual(heldBy(bob));
    expect(heldBy(ann).weights).toEqual([11, 12, 13, 14, 15, 16]);
  });

  it('leave the weights of the step to those who join before it is over', async () => {
    const runner = testRunner(8, TAIL_FROM, CODECS);
    const ann = await runner.join('ann', WITH_TAILS);
    await runner.gradient(1);
    await sendTail(ann);
    await sendHead(ann);
    await runner.gradient(2);
    const before = heldBy(ann);
    await sendTail(ann);
    expect(runner.weights[5]).toBe(26);
    const bob = await runner.join('bob', WITH_TAILS);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    expect(heldBy(bob)).toEqual(before);
    await sendTail(bob);
    await sendHead(bob);
    await runner.gradient(3);
    expect(sentTo(bob)).toEqual([...['weights 2', 'shard', 'update 3 from 4', 'update 3 from 0', 'shard']]);
    expect(heldBy(bob).weights).toEqual([21, 22, 23, 24, 25, 26]);
  });

  it('are forgotten where the next weights are to be exact', async () => {
    const runner = testRunner(8, TAIL_FROM, CODECS);
    const ann = await runner.join('ann', WITH_TAILS);
    await runner.gradient(1);
    await sendTail(ann);
    await sendHead(ann);
    await runner.evaluate(2);
    expect(sentTo(ann).slice(2)).toEqual(['update 2 from 4', 'weights 2', 'shard']);
    await ann.answer();
    await runner.gradient(2);
    await ann.answer();
    await runner.gradient(3);
    expect(sentTo(ann).slice(-2)).toEqual(['update 3 from 0', 'shard']);
    expect(heldBy(ann).weights).toEqual([...runner.weights]);
  });

  it('are taken back from the weights where the step cannot be ended', async () => {
    const runner = testRunner(8, TAIL_FROM, CODECS);
    const ann = await runner.join('ann', WITH_TAILS);
    const round = await runner.gradient(1);
    await sendTail(ann);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    await runner.abort();
    expect(round.result).toBeInstanceOf(Interrupted);
    expect([...runner.weights]).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

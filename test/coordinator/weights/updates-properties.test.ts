import fc from 'fast-check';
import { it } from 'vitest';
import type { Client } from '../pool/pool-harness.ts';
import { testRunner } from '../training/step-harness.ts';
import { answerInBuckets, CODECS, heldBy, OFFSET, WITH_BUCKETS, WITHOUT } from './updates-harness.ts';
import { checkProperty } from '../../support/property.ts';

/** Options of a client. */
const KINDS = {
  join: WITHOUT,
  joinWithBuckets: WITH_BUCKETS,
  joinFloat32: { buckets: false },
  joinFloat32WithBuckets: { buckets: true },
};

type Joining = keyof typeof KINDS;
type Event = Joining | 'leave' | 'evaluate' | 'step';
type Script = [before: Event, meanwhile: Event[]][];
type Example = [Script, first: Joining, samples: number, offsets: number[]];

const JOINING: Joining[] = ['join', 'joinWithBuckets', 'joinFloat32', 'joinFloat32WithBuckets'];
const isJoining = (event: Event): event is Joining => event in KINDS;

/** Shortest examples that each fail without one of the publisher's guards. */
const GUARDED: Example[] = [
  // A bucket was sent exactly, and then the step is sent as an update.
  [
    [
      ['step', []],
      ['evaluate', ['join']],
      ['evaluate', []],
    ],
    'joinFloat32WithBuckets',
    2,
    [0, OFFSET],
  ],
  // A worker that joined between two buckets lacks the previous one.
  [
    [
      ['joinWithBuckets', []],
      ['step', ['joinWithBuckets', 'leave', 'leave']],
      ['step', []],
    ],
    'join',
    2,
    [0, 2, 3, 5],
  ],
  // A worker that joins while the next weights are being made needs the step's weights.
  [
    [
      ['step', []],
      ['step', ['join', 'leave']],
    ],
    'joinFloat32WithBuckets',
    2,
    [0, OFFSET],
  ],
  // A worker without updates remains alone after others had updates.
  [
    [
      ['joinFloat32WithBuckets', []],
      ['step', []],
      ['leave', []],
      ['step', []],
    ],
    'join',
    2,
    [0, 2, 3, 5],
  ],
];

it('all workers have the same weights of a step, bit for bit, also if workers join and leave before and during it', async () => {
  const event = fc.constantFrom<Event>(...JOINING, 'leave', 'evaluate', 'step', 'step');
  const some = (maxLength: number) => ({ maxLength, size: 'max' as const });
  const script = fc.array(fc.tuple(event, fc.array(event, some(6))), some(25));
  await checkProperty(
    fc.asyncProperty(
      script,
      fc.constantFrom(...JOINING),
      fc.constantFrom<number>(2, 8),
      fc.constantFrom<number[]>([0], [0, OFFSET], [0, 2, 3, 5]),
      async (events, first, samples, offsets) => {
        const runner = testRunner(samples, offsets, CODECS);
        const departed: Client[] = [];
        const clients = [await runner.join('first', KINDS[first])];
        const answered = new Set<object>();
        const unanswered = (client: Client) => client.messages('shard').find((shard) => !answered.has(shard));
        let stepNumber = 1;
        const change = async (event: Event): Promise<void> => {
          if (isJoining(event)) clients.push(await runner.join('w', KINDS[event]));
          else if (event === 'leave' && clients.length > 1) {
            await clients[0]!.say({ type: 'leaving', reason: 'lid closed' });
            departed.push(...clients.splice(0, 1));
          }
        };
        for (const [before, meanwhile] of events) {
          await change(before);
          if (before !== 'step' && before !== 'evaluate') continue;
          const evaluating = before === 'evaluate';
          const round = await (evaluating ? runner.evaluate(stepNumber) : runner.gradient(stepNumber));
          const changes = [...meanwhile];
          const nextChange = (): Promise<void> => change(changes.shift() ?? 'step');
          await nextChange();
          while (round.result === null) {
            const client = clients.find((client) => unanswered(client) !== undefined);
            if (client === undefined) return false;
            const shard = unanswered(client)!;
            answered.add(shard);
            const inBuckets =
              shard.task === 'train' && (client.messages('welcome')[0]?.bucketOffsets.length ?? 1) > 1;
            if (!inBuckets) await client.answer({ shard: shard.shard });
            // Workers may join or leave between two buckets, also the worker that sends them.
            else await answerInBuckets(client, offsets, nextChange, shard);
          }
          if (round.result instanceof Error) return false;
          // Throws if an update does not follow the weights before.
          const held = [...clients, ...departed].map(heldBy).filter(({ step }) => step === stepNumber);
          if (held.length === 0) return false;
          if (held.some(({ weights }) => weights.some((value, i) => value !== held[0]!.weights[i])))
            return false;
          if (!evaluating) {
            stepNumber++;
            // An amount that an update's codec cannot represent exactly.
            runner.rise[stepNumber % 6]! *= 1.01;
          }
        }
        return true;
      },
    ),
    { seed: 1, numRuns: 1000, examples: GUARDED },
  );
}, 60_000);

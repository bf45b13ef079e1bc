import fc from 'fast-check';
import { it } from 'vitest';
import type { Client } from '../pool/pool-harness.ts';
import { testRunner } from '../training/step-harness.ts';
import { answerInBuckets, CODECS, heldBy, OFFSET, WITH_BUCKETS, WITHOUT } from './updates-harness.ts';
import { checkProperty } from '../../support/property.ts';

/** What a client may know of. */
const KINDS = {
  join: WITHOUT,
  joinWithTails: WITH_BUCKETS,
  joinPlain: { buckets: false },
  joinPlainWithTails: { buckets: true },
};

type Joining = keyof typeof KINDS;
type Event = Joining | 'leave' | 'evaluate' | 'step';
type Script = [before: Event, meanwhile: Event[]][];
type Example = [Script, first: Joining, samples: number, cuts: number[]];

const JOINING: Joining[] = ['join', 'joinWithTails', 'joinPlain', 'joinPlainWithTails'];
const isJoining = (event: Event): event is Joining => event in KINDS;

/** The shortest that each fail without one of the broadcast's guards. */
const GUARDED: Example[] = [
  // A tail was sent exactly, and then an update brings the step.
  [
    [
      ['step', []],
      ['evaluate', ['join']],
      ['evaluate', []],
    ],
    'joinPlainWithTails',
    2,
    [0, OFFSET],
  ],
  // Who joined between two pieces lacks the one before.
  [
    [
      ['joinWithTails', []],
      ['step', ['joinWithTails', 'leave', 'leave']],
      ['step', []],
    ],
    'join',
    2,
    [0, 2, 3, 5],
  ],
  // Who joins when some of the weights are updated already needs those of the step.
  [
    [
      ['step', []],
      ['step', ['join', 'leave']],
    ],
    'joinPlainWithTails',
    2,
    [0, OFFSET],
  ],
  // Who knows no updates is left alone while others get them.
  [
    [
      ['joinPlainWithTails', []],
      ['step', []],
      ['leave', []],
      ['step', []],
    ],
    'join',
    2,
    [0, 2, 3, 5],
  ],
];

it('all hold the same bits of a step, whoever comes and goes, before it and in its middle', async () => {
  const event = fc.constantFrom<Event>(...JOINING, 'leave', 'evaluate', 'step', 'step');
  const some = (maxLength: number) => ({ maxLength, size: 'max' as const });
  const script = fc.array(fc.tuple(event, fc.array(event, some(6))), some(25));
  await checkProperty(
    fc.asyncProperty(
      script,
      fc.constantFrom(...JOINING),
      fc.constantFrom<number>(2, 8),
      fc.constantFrom<number[]>([0], [0, OFFSET], [0, 2, 3, 5]),
      async (events, first, samples, cuts) => {
        const runner = testRunner(samples, cuts, CODECS);
        const gone: Client[] = [];
        const clients = [await runner.join('first', KINDS[first])];
        const answered = new Set<object>();
        const unanswered = (client: Client) => client.messages('shard').find((shard) => !answered.has(shard));
        let stepNumber = 1;
        const change = async (event: Event): Promise<void> => {
          if (isJoining(event)) clients.push(await runner.join('w', KINDS[event]));
          else if (event === 'leave' && clients.length > 1) {
            await clients[0]!.say({ type: 'leaving', reason: 'lid closed' });
            gone.push(...clients.splice(0, 1));
          }
        };
        for (const [before, meanwhile] of events) {
          await change(before);
          if (before !== 'step' && before !== 'evaluate') continue;
          const evaluating = before === 'evaluate';
          const round = await (evaluating ? runner.evaluate(stepNumber) : runner.gradient(stepNumber));
          const changes = [...meanwhile];
          const somethingChanges = (): Promise<void> => change(changes.shift() ?? 'step');
          await somethingChanges();
          while (round.result === null) {
            const client = clients.find((client) => unanswered(client) !== undefined);
            if (client === undefined) return false;
            const shard = unanswered(client)!;
            answered.add(shard);
            const inBuckets =
              shard.task === 'train' && (client.messages('welcome')[0]?.bucketOffsets.length ?? 1) > 1;
            if (!inBuckets) await client.answer({ shard: shard.shard });
            // Somebody may go or come between two pieces; the one who sends them may be gone.
            else await answerInBuckets(client, cuts, somethingChanges, shard);
          }
          if (round.result instanceof Error) return false;
          // Throws where an update does not follow what came before.
          const held = [...clients, ...gone].map(heldBy).filter(({ step }) => step === stepNumber);
          if (held.length === 0) return false;
          if (held.some(({ weights }) => weights.some((value, i) => value !== held[0]!.weights[i])))
            return false;
          if (!evaluating) {
            stepNumber++;
            // Uneven, as what an update's codec cannot carry exactly.
            runner.rise[stepNumber % 6]! *= 1.01;
          }
        }
        return true;
      },
    ),
    { seed: 1, numRuns: 1000, examples: GUARDED },
  );
}, 60_000);

import fc from 'fast-check';
import { it } from 'vitest';
import { testRunner } from './runner-harness.ts';
import { settle } from '../../support/manual-clock.ts';
import { answerInPieces, CODECS, heldBy, TAIL_FROM, WITH_TAILS, WITHOUT } from './updates-harness.ts';

it('all hold the same bits of a step, whoever comes and goes, before it and in its middle', async () => {
  type Event = 'join' | 'joinWithTails' | 'joinPlain' | 'joinPlainWithTails' | 'leave' | 'evaluate' | 'step';
  const event = fc.constantFrom<Event>(
    'join',
    'joinWithTails',
    'joinPlain',
    'joinPlainWithTails',
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
      fc.constantFrom([], [TAIL_FROM], [2, 3, 5]),
      async (events, samples, cuts) => {
        const runner = testRunner(samples, cuts, CODECS);
        let clients = [await runner.join('first', WITHOUT)];
        let stepNumber = 1;
        const change = async (kind: Event): Promise<void> => {
          if (kind === 'join') clients.push(await runner.join('w', WITHOUT));
          else if (kind === 'joinWithTails') clients.push(await runner.join('w', WITH_TAILS));
          else if (kind === 'joinPlainWithTails') clients.push(await runner.join('w', { tails: true }));
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
              const inPieces = !evaluating && client.messages('welcome')[0]?.tailCuts !== undefined;
              if (!inPieces) await client.answer();
              // Somebody may go or come between two pieces; the one who sends them may be gone.
              else
                await answerInPieces(client, cuts, (piece) => (piece === 1 ? change(meanwhile) : settle()));
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
    { numRuns: 80 },
  );
}, 60_000);

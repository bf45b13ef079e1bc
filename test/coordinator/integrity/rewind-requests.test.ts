import { describe, expect, it } from 'vitest';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { step } from '../../shared/protocol/examples.ts';
import { correctReference, finish, times, validatedRun, type Reference } from './validator-harness.ts';

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

/** A run after its first step, whose further recomputations wait for release(), and lies of its only worker. */
async function runWithHeldChecks() {
  const { referenceEngine, hold, release } = slowReference();
  const run = validatedRun({ referenceEngine });
  const eve = await run.join('eve');
  await finish(await run.gradient(0), [eve]);
  await run.validator.waitForChecks();
  hold();
  return { ...run, eve, lie: new Map([[eve, times(1.6)]]), release };
}

describe('a run whose answers are recomputed in the background', () => {
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
    const { eve, lie, gradient, pool, validator, warnings, release } = await runWithHeldChecks();
    await finish(await gradient(1), [eve], lie);
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
    const { eve, lie, gradient, validator, release } = await runWithHeldChecks();
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
    const { eve, lie, gradient, validator, release } = await runWithHeldChecks();
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
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LinkCodecs } from '../../../coordinator/links/codecs.ts';
import { CODEC_LEVELS, CodecSelector } from '../../../coordinator/links/policy.ts';
import { checkProperty } from '../../support/property.ts';
import { BASE_LINK, measuredStats, PAYLOAD, type LinkSituation } from './link-examples.ts';

const candidates = CODEC_LEVELS.map((codecs, level) => ({ level, codecs })).filter(
  ({ codecs }) => codecs.up !== 'factors',
);

/** Runs a selector for some steps. @returns the levels that it chose, in order */
function runSteps(situation: LinkSituation, selector = new CodecSelector(), steps = 20): number[] {
  const levels: number[] = [];
  for (let i = 0; i < steps; i++) {
    const current = CODEC_LEVELS[selector.level]!;
    if (selector.next(measuredStats(situation, current), current, candidates, PAYLOAD) !== null)
      levels.push(selector.level);
  }
  return levels;
}
const codecNames = (levels: readonly number[]): string[] =>
  levels.map((level) => Object.values(CODEC_LEVELS[level]!).join('/'));

describe('the codecs of a link', () => {
  it.each([
    ['stay float32 if the link takes no time', { ...BASE_LINK, megabits: 20_000 }, []],
    [
      'stay float32 if the computation hides nearly all transfers',
      { ...BASE_LINK, megabits: 1000, computeMs: 300, hidden: 0.8 },
      [],
    ],
    [
      'stay float32 if the computation takes nearly all of the time',
      { ...BASE_LINK, megabits: 1000, computeMs: 2000 },
      [],
    ],
    [
      'are the least lossy that are nearly as fast',
      { ...BASE_LINK, megabits: 1000, computeMs: 300 },
      ['int8/int8'],
    ],
    ['are the smallest behind a slow link', BASE_LINK, ['int4/int4']],
  ] as const)('%s', (_, situation, chosen) => {
    expect(codecNames(runSteps(situation))).toEqual(chosen);
  });

  it('follow a link that becomes slow, and one that becomes fast again', () => {
    const selector = new CodecSelector();
    expect(codecNames(runSteps(BASE_LINK, selector))).toEqual(['int4/int4']);
    expect(codecNames(runSteps({ ...BASE_LINK, megabits: 20_000 }, selector, 250)).at(-1)).toBe(
      'float32/float32',
    );
    expect(codecNames(runSteps({ ...BASE_LINK, megabits: 300 }, selector)).at(-1)).toBe('int4/int4');
  });

  it('do not change again after one or two steps', () => {
    const selector = new CodecSelector();
    runSteps(BASE_LINK, selector, 250);
    const fast = { ...BASE_LINK, megabits: 20_000 };
    expect([
      runSteps(fast, selector, 2),
      runSteps(BASE_LINK, selector, 1),
      runSteps(fast, selector, 2),
    ]).toEqual([[], [], []]);
  });

  it('do not alternate if a link looks fast until it is used', () => {
    const selector = new CodecSelector();
    let changes = 0;
    for (let i = 0; i < 2_000; i++) {
      const current = CODEC_LEVELS[selector.level]!;
      const fastRates = { upMsPerByte: 1e-9, downMsPerByte: 1e-9 };
      const stats = { ...measuredStats(BASE_LINK, current), ...(selector.level > 0 ? fastRates : {}) };
      if (selector.next(stats, current, candidates, PAYLOAD) !== null) changes++;
    }
    expect(changes).toBeLessThan(16);
  });

  it('settle on any link, and are then nearly the fastest of all', () => {
    const situations = fc.record({
      megabits: fc.double({ min: 1, max: 20_000, noNaN: true }),
      rttMs: fc.double({ min: 0, max: 200, noNaN: true }),
      computeMs: fc.double({ min: 1, max: 2000, noNaN: true }),
      hidden: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    checkProperty(
      fc.property(situations, (situation) => {
        const selector = new CodecSelector();
        if (runSteps(situation, selector, 40).length > 3) return false;
        const turnaroundMs = (codecs: LinkCodecs): number => measuredStats(situation, codecs).turnaroundMs;
        const chosenMs = turnaroundMs(CODEC_LEVELS[selector.level]!);
        return chosenMs <= 1.1 * Math.min(...CODEC_LEVELS.map(turnaroundMs));
      }),
      { seed: 1 },
    );
  });
});

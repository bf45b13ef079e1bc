import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CodecSelector,
  forecastTurnaroundMs,
  CODEC_LEVELS,
  transferTime,
  transferMs,
  type TransferTime,
} from '../../../coordinator/links/policy.ts';
import type { LinkStats } from '../../../coordinator/links/meter.ts';
import { FLOAT32_LINK, type LinkCodecs } from '../../../coordinator/links/codecs.ts';
import { checkProperty } from '../../support/property.ts';

const VECTORS = { values: 600_810, kernel: null, bucketCount: 0 };
const candidates = CODEC_LEVELS.map((codecs, level) => ({ level, codecs })).filter(
  ({ codecs }) => codecs.up !== 'factors',
);

interface Situation {
  readonly megabits: number;
  readonly rttMs: number;
  readonly computeMs: number;
  /** The part of the transfers that the computation hides. */
  readonly hidden: number;
}

/** What is measured of a link with these codecs. */
function figuresOf({ megabits, rttMs, computeMs, hidden }: Situation, codecs: LinkCodecs): LinkStats {
  const msPerByte = 0.008 / megabits;
  const link = { downMsPerByte: msPerByte, upMsPerByte: msPerByte };
  const turnaroundMs =
    computeMs + rttMs + (1 - hidden) * transferMs({ ...link, samples: 32 }, codecs, VECTORS);
  return { ...link, rttMs, computeMs, turnaroundMs, samples: 32 };
}

/** Lets a choice settle; the rungs that it took, one after the other. */
function settle(situation: Situation, choice = new CodecSelector(), steps = 20): number[] {
  const rungs: number[] = [];
  for (let i = 0; i < steps; i++) {
    const current = CODEC_LEVELS[choice.level]!;
    if (choice.next(figuresOf(situation, current), current, candidates, VECTORS) !== null)
      rungs.push(choice.level);
  }
  return rungs;
}
const names = (rungs: readonly number[]): string[] =>
  rungs.map((level) => Object.values(CODEC_LEVELS[level]!).join('/'));
const base: Situation = { megabits: 100, rttMs: 4, computeMs: 32, hidden: 0 };

describe('what the wire takes', () => {
  it('is one direction after the other, or the longer one and a piece of the other', () => {
    const kernel = { offset: 0, inputs: 100, outputs: 100 };
    const wire = (up: string, bucketCount: number, samples = 10): TransferTime =>
      transferTime({ up, down: 'float32' }, { values: 10_000, kernel, bucketCount }, samples, {
        upMsPerByte: 100 / 40_000,
        downMsPerByte: 60 / 40_000,
      });
    expect(wire('float32', 0)).toEqual({ upMs: 100, downMs: 60, wireMs: 160 });
    expect([1, 2, 4, 8].map((pieces) => wire('float32', pieces).wireMs)).toEqual([160, 130, 115, 107.5]);
    expect(wire('float16', 4)).toEqual({ upMs: 50, downMs: 60, wireMs: 72.5 });
    // They are of the whole kernel; where they are not worth while, all of it travels.
    expect(wire('factors', 4)).toEqual({ upMs: 20, downMs: 60, wireMs: 80 });
    expect(wire('factors', 4, 1_000)).toEqual(wire('float32', 4));
  });

  it('leaves no reason to save on a direction that the other one hides', () => {
    const pieces = { ...VECTORS, bucketCount: 4 };
    const figures = figuresOf(base, FLOAT32_LINK);
    const saved = (vectors: typeof VECTORS): number =>
      transferMs(figures, { up: 'int8', down: 'int8' }, vectors) -
      transferMs(figures, { up: 'int4', down: 'int8' }, vectors);
    expect(saved(pieces)).toBeCloseTo(saved(VECTORS) / 4, 1);
  });
});

describe('the codecs of a link', () => {
  it.each([
    ['stay float32 where the link takes no time', { ...base, megabits: 20_000 }, []],
    [
      'stay float32 where the computation hides nearly all',
      { ...base, megabits: 1000, computeMs: 300, hidden: 0.8 },
      [],
    ],
    [
      'stay float32 where the computation is all that counts',
      { ...base, megabits: 1000, computeMs: 2000 },
      [],
    ],
    ['lose as little as is nearly as fast', { ...base, megabits: 1000, computeMs: 300 }, ['int8/int8']],
    ['are as small as there are behind a thin link', base, ['int4/int4']],
  ] as const)('%s', (_, situation, chosen) => {
    expect(names(settle(situation))).toEqual(chosen);
  });

  it('follow a link that becomes thin, and one that becomes wide again', () => {
    const choice = new CodecSelector();
    expect(names(settle(base, choice))).toEqual(['int4/int4']);
    expect(names(settle({ ...base, megabits: 20_000 }, choice, 250)).at(-1)).toBe('float32/float32');
    expect(names(settle({ ...base, megabits: 300 }, choice)).at(-1)).toBe('int4/int4');
  });

  it('need more than a moment to change again', () => {
    const choice = new CodecSelector();
    settle(base, choice, 250);
    const wide = { ...base, megabits: 20_000 };
    expect([settle(wide, choice, 2), settle(base, choice, 1), settle(wide, choice, 2)]).toEqual([[], [], []]);
  });

  it('do not take turns where a link looks wide to the first that would use it', () => {
    const choice = new CodecSelector();
    let changes = 0;
    for (let i = 0; i < 2_000; i++) {
      const current = CODEC_LEVELS[choice.level]!;
      const wide = { upMsPerByte: 1e-9, downMsPerByte: 1e-9 };
      const figures = { ...figuresOf(base, current), ...(choice.level > 0 ? wide : {}) };
      if (choice.next(figures, current, candidates, VECTORS) !== null) changes++;
    }
    expect(changes).toBeLessThan(16);
  });

  it('come to rest whatever the link, and are then nearly the fastest of all', () => {
    const situations = fc.record({
      megabits: fc.double({ min: 1, max: 20_000, noNaN: true }),
      rttMs: fc.double({ min: 0, max: 200, noNaN: true }),
      computeMs: fc.double({ min: 1, max: 2000, noNaN: true }),
      hidden: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    checkProperty(
      fc.property(situations, (situation) => {
        const choice = new CodecSelector();
        if (settle(situation, choice, 40).length > 3) return false;
        const took = (codecs: LinkCodecs): number => figuresOf(situation, codecs).turnaroundMs;
        return took(CODEC_LEVELS[choice.level]!) <= 1.1 * Math.min(...CODEC_LEVELS.map(took));
      }),
      { seed: 1 },
    );
  });

  it('are never promised to be faster than they turn out', () => {
    for (const hidden of [0, 0.3, 0.9]) {
      const situation = { ...base, hidden };
      for (const from of CODEC_LEVELS) {
        for (const to of CODEC_LEVELS) {
          const promised = forecastTurnaroundMs(figuresOf(situation, from), from, to, VECTORS);
          expect(promised).toBeGreaterThanOrEqual(figuresOf(situation, to).turnaroundMs - 1e-6);
        }
      }
    }
    expect(forecastTurnaroundMs(figuresOf(base, FLOAT32_LINK), FLOAT32_LINK, FLOAT32_LINK, VECTORS)).toBe(
      figuresOf(base, FLOAT32_LINK).turnaroundMs,
    );
  });
});

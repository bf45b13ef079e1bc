import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scoring, type Score } from '../../../shared/model/scoring.ts';
import { classOutput } from '../../../shared/model/stored-job.ts';
import { checkProperty } from '../../support/property.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';
import { exampleJob } from '../protocol/examples.ts';

/** Score of the logits of a model that ends in a softmax. */
function scoreLogits(logits: readonly number[], labels: Uint8Array, width: number): Score {
  const { targets } = imageTensors([1], width);
  const scoring = new Scoring({ ...exampleJob, targets, outputs: [classOutput('d', width)] });
  return scoring.score([logits], { targets: [labels], sampleNumbers: Uint32Array.from(labels) });
}

/** Loss from the logarithm of the label's probability. */
function naive(logits: readonly (readonly number[])[], labels: readonly number[]): number {
  return logits.reduce((sum, row, i) => {
    const all = row.reduce((total, logit) => total + Math.exp(logit), 0);
    return sum - Math.log(Math.exp(row[labels[i]!]!) / all);
  }, 0);
}

const classes = 4;
const row = fc.array(fc.double({ min: -20, max: 20, noNaN: true }), {
  minLength: classes,
  maxLength: classes,
});
const rows = fc.array(fc.tuple(row, fc.nat(classes - 1)), { maxLength: 8 });

describe('the score of class logits', () => {
  it('sums the cross-entropy that a naive softmax gives', () => {
    checkProperty(
      fc.property(rows, (samples) => {
        const logits = samples.map(([values]) => values);
        const labels = samples.map(([, label]) => label);
        const { lossSum } = scoreLogits(logits.flat(), Uint8Array.from(labels), classes);
        return Math.abs(lossSum - naive(logits, labels)) <= 1e-9 * (1 + lossSum);
      }),
      { seed: 1, numRuns: 1000 },
    );
  });

  it('counts the samples whose largest logit is their label', () => {
    const logits = [3, 1, 2, 0, 9, 1, 5, 5.5, 4];
    expect(scoreLogits(logits, Uint8Array.of(0, 1, 2), 3).metrics[0]).toBe(2);
    expect(scoreLogits(logits, Uint8Array.of(2, 0, 2), 3).metrics[0]).toBe(0);
  });

  it('predicts the first of equal logits', () => {
    expect(scoreLogits([1, 7, 7], Uint8Array.of(1), 3).metrics[0]).toBe(1);
    expect(scoreLogits([1, 7, 7], Uint8Array.of(2), 3).metrics[0]).toBe(0);
  });

  it('stays exact if the softmax would overflow or underflow', () => {
    expect(scoreLogits([10_000, 0, -10_000], Uint8Array.of(0), 3).lossSum).toBe(0);
    expect(scoreLogits([10_000, 0, -10_000], Uint8Array.of(2), 3).lossSum).toBe(20_000);
    expect(scoreLogits([-5000, -5000], Uint8Array.of(0), 2).lossSum).toBeCloseTo(Math.LN2, 9);
  });

  it('is never negative', () => {
    const wide = fc.array(fc.double({ min: -1e30, max: 1e30, noNaN: true }), { minLength: 4, maxLength: 4 });
    checkProperty(
      fc.property(wide, fc.nat(3), (v, label) => scoreLogits(v, Uint8Array.of(label), 4).lossSum >= 0),
      { seed: 2 },
    );
  });

  it.each([NaN, Infinity, -Infinity])('does not hide a logit of %d', (bad) => {
    expect(scoreLogits([0, bad, bad], Uint8Array.of(1), 3).lossSum).not.toSatisfy(Number.isFinite);
  });

  it('is zero without samples', () => {
    expect(scoreLogits([], new Uint8Array(0), 10)).toEqual({ lossSum: 0, metrics: [0] });
  });
});

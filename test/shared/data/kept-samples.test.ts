import { expect, test } from 'vitest';
import { keptBytes, KeptSamples } from '../../../shared/data/kept-samples.ts';

const counts = { train: 20, evaluate: 10 };

test('a sample is kept when it is sent for the first time, while there is room', () => {
  const kept = new KeptSamples(counts, 3);
  expect(kept.send('train', Uint32Array.of(5, 9))).toEqual(new Uint8Array(0));
  expect(kept.send('train', Uint32Array.of(9, 1, 2, 5))).toEqual(Uint8Array.of(0b1001));
  expect(kept.room).toBe(0);
  // There was room for sample 1, not for sample 2.
  expect(kept.send('train', Uint32Array.of(2, 1))).toEqual(Uint8Array.of(0b10));
  expect(kept.send('evaluate', Uint32Array.of(5))).toEqual(new Uint8Array(0));
});

test('bitmaps name the samples of both tasks, and are read back', () => {
  const kept = new KeptSamples(counts, 10);
  kept.send('train', Uint32Array.of(0, 19));
  kept.send('evaluate', Uint32Array.of(8));
  expect(keptBytes(counts)).toBe(5);
  expect(kept.bitmaps).toEqual(Uint8Array.of(1, 0, 8, 0, 1));
  const again = new KeptSamples(counts, 0, kept.bitmaps);
  expect(again.send('train', Uint32Array.of(19, 3, 0))).toEqual(Uint8Array.of(0b101));
  expect(again.has('evaluate', 8)).toBe(true);
  expect(again.has('evaluate', 9)).toBe(false);
});

import { expect, test } from 'vitest';
import { BatchReader, evaluationParts } from '../../../coordinator/training/batch-reader.ts';
import { batches } from '../../../coordinator/training/sampler.ts';
import { DataError } from '../../../shared/data/data-error.ts';
import { imageSplit, readSamples, wholeSplit } from '../../../shared/data/dataset.ts';
import { lazySplit } from '../../support/lazy-split.ts';
import { manualClock, settle } from '../../support/manual-clock.ts';

/** Samples of `bytes` bytes, each of which begins with the last byte of its number. */
function stored(count: number, bytes = 1) {
  const images = new Uint8Array(count * bytes);
  for (let i = 0; i < count; i++) images[i * bytes] = i;
  return imageSplit({ images, labels: new Uint8Array(count), count });
}
const clock = manualClock();
const order = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, i) => count - 1 - i);

test('batches have their samples in the order of the epoch, from memory and from a disk', async () => {
  const split = stored(10);
  const parts = [...batches(order(10), 4)];
  for (const source of [split, lazySplit(split)]) {
    const reader = new BatchReader(source, parts, clock);
    expect(reader.count).toBe(3);
    for (const [index, numbers] of parts.entries()) {
      expect(await reader.batch(index)).toEqual(readSamples(split, numbers));
    }
  }
});

test('batches are read while the one before is computed, eight at most', async () => {
  const split = lazySplit(stored(40));
  const reader = new BatchReader(split, [...batches(order(40), 2)], clock);
  await reader.batch(0);
  await settle();
  expect(split.reads).toEqual([39, 37, 35, 33, 31, 29, 27, 25, 23]);
  expect(reader.ready(8)?.sampleNumbers).toEqual(Uint32Array.of(23, 22));
  expect(reader.ready(9)).toBeUndefined();
  await reader.batch(1);
  expect(split.reads).toHaveLength(10);
  // A rewind goes back to a batch that was forgotten.
  expect(await reader.batch(0)).toEqual(readSamples(stored(40), Uint32Array.of(39, 38)));
});

test('batches that fill the memory are read one ahead', async () => {
  const split = lazySplit(stored(8, 2 ** 25));
  const reader = new BatchReader(split, [...batches(order(8), 1)], clock);
  await reader.batch(0);
  await settle();
  expect(split.reads).toEqual([7, 6]);
});

test('the time that a step waits for its batch is measured', async () => {
  let isSlow = true;
  const split = lazySplit(stored(6), async () => {
    if (isSlow) await new Promise<void>((resolve) => void clock.after(40, resolve));
  });
  const reader = new BatchReader(split, [...batches(order(6), 2)], clock);
  const first = reader.batch(0);
  await clock.advance(40);
  await first;
  expect(reader.waitedMs).toBe(40);
  isSlow = false;
  await clock.advance(100);
  await reader.batch(1);
  expect(reader.waitedMs).toBe(0);
});

test('a sample that cannot be read fails its own batch only, and is read again', async () => {
  let isBroken = true;
  const split = lazySplit(stored(6), (numbers) =>
    isBroken && numbers.includes(2)
      ? Promise.reject(new DataError('sample 2 is damaged'))
      : Promise.resolve(),
  );
  const reader = new BatchReader(split, [...batches(order(6), 2)], clock);
  await reader.batch(0);
  await settle();
  await expect(reader.batch(1)).rejects.toThrow('sample 2 is damaged');
  isBroken = false;
  expect((await reader.batch(1)).sampleNumbers).toEqual(Uint32Array.of(3, 2));
});

test('an evaluation has a split in memory as one part, without a copy', async () => {
  const split = stored(5);
  const parts = [];
  for await (const part of evaluationParts(split)) parts.push(part);
  expect(parts).toEqual([wholeSplit(split)]);
  expect(parts[0]?.inputs[0]).toBe(split.inputs[0]);
});

test('an evaluation reads a disk in parts of some megabytes, one ahead', async () => {
  const split = lazySplit(stored(200, 2 ** 18));
  const sizes: number[] = [];
  const numbers: number[] = [];
  for await (const { sampleNumbers } of evaluationParts(split)) {
    await settle();
    sizes.push(sampleNumbers.length);
    numbers.push(...sampleNumbers);
    expect(split.reads.length).toBeLessThanOrEqual(sizes.length + 1);
  }
  expect(sizes).toEqual([64, 63, 63, 10]);
  expect(numbers).toEqual(Array.from({ length: 200 }, (_, i) => i));
});

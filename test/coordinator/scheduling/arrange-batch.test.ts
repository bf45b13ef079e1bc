import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrangeBatch } from '../../../coordinator/scheduling/arrange-batch.ts';
import { evenSplit } from '../../../coordinator/scheduling/partition.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { checkProperty } from '../../support/property.ts';

const [ann, bob] = ['ann', 'bob'] as WorkerId[] as [WorkerId, WorkerId];
const numbers = Uint32Array.of(10, 11, 12, 13, 14, 15);
const halves = evenSplit(6, [ann, bob]);

/** Sample numbers in their new order. */
function arranged(kept: Partial<Record<string, readonly number[]>>, assignments = halves): number[] | null {
  const order = arrangeBatch(
    numbers,
    assignments,
    (worker) => (number) => kept[worker]?.includes(number) === true,
  );
  return order === null ? null : [...order].map((position) => numbers[position]!);
}

test('each worker is assigned the samples that it keeps, in the order of the batch', () => {
  expect(arranged({ ann: [15, 11, 13], bob: [10, 12, 14] })).toEqual([11, 13, 15, 10, 12, 14]);
});

test('a sample that several workers keep goes where there is room', () => {
  expect(arranged({ ann: [10, 11, 12, 13], bob: [10] })).toEqual([11, 12, 13, 10, 14, 15]);
});

test('samples that no worker keeps, or for whose workers there is no room, fill the other places', () => {
  expect(arranged({ ann: [12, 13, 14, 15] })).toEqual([12, 13, 14, 10, 11, 15]);
});

test('a batch stays as it is if no sample is kept, or one worker computes it', () => {
  expect(arranged({})).toBeNull();
  expect(arranged({ ann: [15] }, evenSplit(6, [ann]))).toBeNull();
});

test('samples of ranges without a worker are placed too', () => {
  expect(
    arranged({ bob: [10] }, [
      { worker: ann, from: 0, to: 2 },
      { worker: bob, from: 4, to: 6 },
    ]),
  ).toEqual([11, 12, 14, 15, 10, 13]);
});

test('every sample is in the batch once, whatever is kept', () => {
  const kept = fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 20, maxLength: 20 });
  checkProperty(
    fc.property(kept, fc.integer({ min: 1, max: 19 }), (holders, cut) => {
      const batch = Uint32Array.from({ length: 20 }, (_, i) => 3 * i);
      const assignments = [
        { worker: ann, from: 0, to: cut },
        { worker: bob, from: cut, to: 20 },
      ];
      const keeps = (worker: WorkerId, number: number): boolean =>
        holders[number / 3]![worker === ann ? 0 : 1];
      const order = arrangeBatch(batch, assignments, (worker) => (number) => keeps(worker, number));
      const positions = [...(order ?? batch.keys())];
      expect(positions.toSorted((a, b) => a - b)).toEqual([...batch.keys()]);
      const hits = (at: readonly number[]): number =>
        at.filter((position, i) => keeps(i < cut ? ann : bob, batch[position]!)).length;
      expect(hits(positions)).toBeGreaterThanOrEqual(hits([...batch.keys()]));
    }),
    { seed: 44 },
  );
});

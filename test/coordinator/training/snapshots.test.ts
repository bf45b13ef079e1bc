import { describe, expect, it } from 'vitest';
import { RunSnapshots } from '../../../coordinator/training/rewind.ts';

/** A vector that holds the number of the step, and snapshots of it at these steps. */
function taken(steps: readonly number[]) {
  const vector = new Float32Array(3);
  const snapshots = new RunSnapshots<string>([vector]);
  for (const step of steps) {
    vector.fill(step);
    snapshots.save(step, `place ${step}`);
  }
  vector.fill(1_000);
  return { vector, snapshots };
}

describe('snapshots', () => {
  it('give back the newest state that is old enough', () => {
    const { vector, snapshots } = taken([0, 25, 50]);
    expect(snapshots.restore(49)).toBe('place 25');
    expect([...vector]).toEqual([25, 25, 25]);
    // What came after it is of a run that is undone.
    vector.fill(7);
    expect(snapshots.restore(60)).toBe('place 25');
    expect(snapshots.restore(24)).toBe('place 0');
    expect([...vector]).toEqual([0, 0, 0]);
  });

  it('are the first and the newest ones, and the oldest is given where none is old enough', () => {
    const { snapshots } = taken([10, 25, 50, 75, 100]);
    expect(snapshots.restore(80)).toBe('place 75');
    expect(snapshots.restore(70)).toBe('place 10');
    expect(snapshots.restore(3)).toBe('place 10');
  });

  it('of an epoch that is over are gone', () => {
    const { vector, snapshots } = taken([0, 25]);
    snapshots.clear();
    expect(snapshots.restore(100)).toBeNull();
    expect([...vector]).toEqual([1_000, 1_000, 1_000]);
  });
});

import { describe, expect, it } from 'vitest';
import { RunSnapshots } from '../../../coordinator/training/rewind.ts';

/** A vector filled with the number of the step, and snapshots of it at these steps. */
function takeSnapshots(steps: readonly number[]) {
  const vector = new Float32Array(3);
  const snapshots = new RunSnapshots<string>([vector]);
  for (const step of steps) {
    vector.fill(step);
    snapshots.save(step, `position ${step}`);
  }
  vector.fill(1_000);
  return { vector, snapshots };
}

describe('snapshots', () => {
  it('restore the newest state that is old enough', () => {
    const { vector, snapshots } = takeSnapshots([0, 25, 50]);
    expect(snapshots.restore(49)).toBe('position 25');
    expect([...vector]).toEqual([25, 25, 25]);
    // Later snapshots are of steps that were undone.
    vector.fill(7);
    expect(snapshots.restore(60)).toBe('position 25');
    expect(snapshots.restore(24)).toBe('position 0');
    expect([...vector]).toEqual([0, 0, 0]);
  });

  it('are the first and the newest ones; the oldest is restored if none is old enough', () => {
    const { snapshots } = takeSnapshots([10, 25, 50, 75, 100]);
    expect(snapshots.restore(80)).toBe('position 75');
    expect(snapshots.restore(70)).toBe('position 10');
    expect(snapshots.restore(3)).toBe('position 10');
  });

  it('are dropped by clear()', () => {
    const { vector, snapshots } = takeSnapshots([0, 25]);
    snapshots.clear();
    expect(snapshots.restore(100)).toBeNull();
    expect([...vector]).toEqual([1_000, 1_000, 1_000]);
  });
});

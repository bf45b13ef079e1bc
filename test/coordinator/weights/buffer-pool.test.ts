import { expect, it } from 'vitest';
import { BufferPool } from '../../../coordinator/weights/buffer-pool.ts';

it('acquires distinct buffers, reuses those of the last round, and drops the others', () => {
  const pool = new BufferPool();
  const first = [pool.acquire(3), pool.acquire(3), pool.acquire(5)];
  expect(first.map(({ length }) => length)).toEqual([3, 3, 5]);
  expect(new Set(first).size).toBe(3);
  pool.releaseAll();
  const second = [pool.acquire(3), pool.acquire(3), pool.acquire(3)];
  expect(new Set(second).size).toBe(3);
  expect(second.filter((buffer) => first.includes(buffer))).toHaveLength(2);
  pool.releaseAll();
  // The buffer of five values was not acquired in the second round.
  expect(first).not.toContain(pool.acquire(5));
  expect(second).toContain(pool.acquire(3));
});

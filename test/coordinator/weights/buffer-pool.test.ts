import { expect, it } from 'vitest';
import { BufferPool } from '../../../coordinator/weights/buffer-pool.ts';

it('gives every taker a room of its own, the ones of the last round again, and keeps no others', () => {
  const rooms = new BufferPool();
  const first = [rooms.acquire(3), rooms.acquire(3), rooms.acquire(5)];
  expect(first.map(({ length }) => length)).toEqual([3, 3, 5]);
  expect(new Set(first).size).toBe(3);
  rooms.releaseAll();
  const second = [rooms.acquire(3), rooms.acquire(3), rooms.acquire(3)];
  expect(new Set(second).size).toBe(3);
  expect(second.filter((room) => first.includes(room))).toHaveLength(2);
  rooms.releaseAll();
  // Nobody took the one of five.
  expect(first).not.toContain(rooms.acquire(5));
  expect(second).toContain(rooms.acquire(3));
});

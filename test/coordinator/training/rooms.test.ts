import { expect, it } from 'vitest';
import { Rooms } from '../../../coordinator/training/rooms.ts';

it('gives every taker a room of its own, the ones of the last round again, and keeps no others', () => {
  const rooms = new Rooms();
  const first = [rooms.take(3), rooms.take(3), rooms.take(5)];
  expect(first.map(({ length }) => length)).toEqual([3, 3, 5]);
  expect(new Set(first).size).toBe(3);
  rooms.giveBack();
  const second = [rooms.take(3), rooms.take(3), rooms.take(3)];
  expect(new Set(second).size).toBe(3);
  expect(second.filter((room) => first.includes(room))).toHaveLength(2);
  rooms.giveBack();
  // Nobody took the one of five.
  expect(first).not.toContain(rooms.take(5));
  expect(second).toContain(rooms.take(3));
});

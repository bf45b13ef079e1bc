import { expect, test } from 'vitest';
import { GraphCache } from '../../../../worker-node/engine/native/graph-cache.ts';

const graphOf = (gone: string[], name: string) => ({ dispose: () => void gone.push(name) });

test('a full cache adds nothing while all its graphs are in use', () => {
  const gone: string[] = [];
  const cache = new GraphCache<string, { dispose(): void }>(2, 5);
  cache.add('a', graphOf(gone, 'a'));
  cache.add('b', graphOf(gone, 'b'));
  for (let i = 0; i < 20; i++) expect(cache.get(i % 2 === 0 ? 'a' : 'b')).toBeDefined();
  expect(cache.get('c')).toBeUndefined();
  expect(cache.canAdd).toBe(false);
});

test('a stale graph is replaced, and all graphs are disposed of in the end', () => {
  const gone: string[] = [];
  const cache = new GraphCache<string, { dispose(): void }>(2, 5);
  cache.add('a', graphOf(gone, 'a'));
  cache.add('b', graphOf(gone, 'b'));
  for (let i = 0; i < 6; i++) cache.get('b');
  expect(cache.canAdd).toBe(true);
  cache.add('c', graphOf(gone, 'c'));
  expect(gone).toEqual(['a']);
  expect(cache.get('c')).toBeDefined();
  cache.clear();
  expect(gone.sort()).toEqual(['a', 'b', 'c']);
  expect(cache.size).toBe(0);
});

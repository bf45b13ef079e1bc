import { expect, test } from 'vitest';
import { GraphCache } from '../../../../worker-node/engine/native/graph-cache.ts';

const graphOf = (gone: string[], name: string) => ({ dispose: () => void gone.push(name) });

test('a full cache has no room while all that it holds is in use', () => {
  const gone: string[] = [];
  const cache = new GraphCache<string, { dispose(): void }>(2, 5);
  cache.add('a', graphOf(gone, 'a'));
  cache.add('b', graphOf(gone, 'b'));
  for (let i = 0; i < 20; i++) expect(cache.get(i % 2 === 0 ? 'a' : 'b')).toBeDefined();
  expect(cache.get('c')).toBeUndefined();
  expect(cache.canAdd).toBe(false);
});

test('what was not used for long gives its place away, and everything goes in the end', () => {
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

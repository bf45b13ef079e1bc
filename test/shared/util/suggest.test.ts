import { expect, it } from 'vitest';
import { didYouMean, namesIn, nearestName } from '../../../shared/util/suggest.ts';

it.each([
  ['fashion-minst', ['mnist', 'kmnist', 'fashion-mnist'], 'fashion-mnist'],
  ['adma', ['sgd', 'adam', 'adamw'], 'adam'],
  ['Fashion_MNIST', ['mnist', 'fashion-mnist'], 'fashion-mnist'],
  // The first of several that are as near.
  ['adamz', ['adamw', 'adamx'], 'adamw'],
  ['price', ['Price'], 'Price'],
  // Three edits of eight letters, but not of five, nor four of many.
  ['abcdeXYZ', ['abcdefgh'], 'abcdefgh'],
  ['abXYZ', ['abcde'], undefined],
  ['abcdefghWXYZ', ['abcdefghijkl'], undefined],
  ['c', ['a', 'b'], undefined],
  ['', ['a'], undefined],
  ['anything', [], undefined],
])('of a name that is mistyped as %s, and of %j, %s is near', (mistyped, names, nearest) => {
  expect(nearestName(mistyped, names)).toBe(nearest);
});

it('fewer edits may be asked for', () => {
  expect(nearestName('version', ['epsilon'])).toBe('epsilon');
  expect(nearestName('version', ['epsilon'], 2)).toBeUndefined();
});

it('a sentence ends with the name that may be meant, if there is one', () => {
  expect(didYouMean('hubber', ['huber'])).toBe(" Did you mean 'huber'?");
  expect(didYouMean('mse2', ['huber'])).toBe('');
});

it('the names of a picklist are found in what valibot expects', () => {
  expect(namesIn('("auto" | "native" | Object)')).toEqual(['auto', 'native']);
  expect(namesIn('number')).toEqual([]);
  expect(namesIn(null)).toEqual([]);
});

import { expect, it } from 'vitest';
import { errorMessage } from '../../../shared/util/error-message.ts';

it.each([
  ['an error', new TypeError('no such thing'), 'no such thing'],
  ['a string', 'no such thing', 'no such thing'],
  ['nothing', undefined, 'undefined'],
])('errorMessage returns a text for a thrown %s', (_, thrown: unknown, text) => {
  expect(errorMessage(thrown)).toBe(text);
});

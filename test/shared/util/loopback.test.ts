import { expect, test } from 'vitest';
import { isLoopback } from '../../../shared/util/loopback.ts';

test.each([
  'localhost',
  'LOCALHOST',
  '127.0.0.1',
  '127.9.8.7',
  '::1',
  '[::1]',
  '::ffff:127.0.0.1',
  '[::ffff:7f00:1]',
])('%s is the loopback', (host) => {
  expect(isLoopback(host)).toBe(true);
});

test.each([
  '127.example.org',
  '127.0.0.1.example.org',
  'localhost.example.org',
  '10.0.0.1',
  '::2',
  '::ffff:10.0.0.1',
  '[::1',
  '',
])("'%s' is not the loopback", (host) => {
  expect(isLoopback(host)).toBe(false);
});

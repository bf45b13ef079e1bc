import { InvalidArgumentError } from 'commander';
import { expect, it } from 'vitest';
import { token } from '../../cli/options.ts';

it('a token is read without the line end of the file that it comes from', () => {
  const parse = token('to have none');
  expect(parse('s3cret\n')).toBe('s3cret');
  expect(parse(' s3 cret ')).toBe('s3 cret');
  for (const text of ['', '\n', 'x'.repeat(201)]) expect(() => parse(text)).toThrow(InvalidArgumentError);
});

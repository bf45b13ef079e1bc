import { InvalidArgumentError } from 'commander';
import { expect, it } from 'vitest';
import { maxWorkersOption, token } from '../../cli/options.ts';

it('a token is read without the line end of the file that it comes from', () => {
  const parse = token('to have none');
  expect(parse('s3cret\n')).toBe('s3cret');
  expect(parse(' s3 cret ')).toBe('s3 cret');
  for (const text of ['', '\n', 'x'.repeat(201)]) expect(() => parse(text)).toThrow(InvalidArgumentError);
});

it('the number of workers that may join is a whole number up to 65536', () => {
  const parse = (text: string): unknown => maxWorkersOption().parseArg?.(text, undefined);
  expect([parse('1'), parse('4096'), parse('65536')]).toEqual([1, 4_096, 65_536]);
  for (const text of ['0', '65537', '1.5', '-1', 'many', ''])
    expect(() => parse(text)).toThrow(InvalidArgumentError);
});

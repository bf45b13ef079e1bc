import { expect, it } from 'vitest';
import { codecsInUse } from '../../../coordinator/links/codecs.ts';

const link = (codec: string, updateCodec: string | null) => ({ codec, updateCodec });

it('the codecs in use are those of the links, or of the rule if there are no links', () => {
  expect(codecsInUse([], 'auto')).toBe('auto');
  expect(codecsInUse([], { up: 'int4', down: 'int8' })).toBe('int4/int8');
  expect(codecsInUse([link('int4', 'int8'), link('int4', 'int8')], 'auto')).toBe('int4/int8');
  const mixed = [link('float32', null), link('int8', 'int8'), link('float32', null)];
  expect(codecsInUse(mixed, 'auto')).toBe('float32/float32 2, int8/int8 1');
});

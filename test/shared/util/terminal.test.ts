import { expect, it } from 'vitest';
import { isInteractive, usesColor } from '../../../shared/util/terminal.ts';

it.each<[string, boolean | undefined, Record<string, string>, boolean, boolean]>([
  ['a terminal', true, { TERM: 'xterm-256color' }, true, true],
  ['a pipe', undefined, { TERM: 'xterm-256color' }, false, false],
  ['a terminal without a cursor', true, { TERM: 'dumb' }, false, false],
  ['a terminal of CI', true, { CI: 'true' }, false, false],
  ['a terminal with an empty CI', true, { CI: '' }, true, true],
  ['a terminal with CI=false', true, { CI: 'false' }, true, true],
  ['a terminal with NO_COLOR', true, { NO_COLOR: '1' }, true, false],
  ['a pipe with FORCE_COLOR', undefined, { FORCE_COLOR: '1' }, false, true],
  ['a terminal with FORCE_COLOR=0', true, { FORCE_COLOR: '0' }, true, false],
  ['a terminal with an empty FORCE_COLOR', true, { FORCE_COLOR: '' }, true, true],
  ['NO_COLOR and FORCE_COLOR', true, { NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
])('%s: lines that are overwritten, colors', (_, isTTY, env, interactive, color) => {
  const stream = isTTY === undefined ? {} : { isTTY };
  expect([isInteractive(stream, env), usesColor(stream, env)]).toEqual([interactive, color]);
});

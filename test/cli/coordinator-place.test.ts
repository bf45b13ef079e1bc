import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { placeOfCoordinator, urlFileOption } from '../../cli/coordinator-place.ts';

/** The place that a command line and an environment name. */
function place(args: readonly string[], env: Readonly<Record<string, string>>) {
  const command = new Command('worker').argument('[link]').addOption(urlFileOption('file'));
  command.parse(args, { from: 'user' });
  if (env.GRADCAST_URL_FILE !== undefined && command.getOptionValue('urlFile') === undefined)
    command.setOptionValueWithSource('urlFile', env.GRADCAST_URL_FILE, 'env');
  return placeOfCoordinator(command, command.args[0], env);
}

describe('the place of a coordinator', () => {
  const env = { GRADCAST_URL: 'http://env:1/#secret', GRADCAST_URL_FILE: '/env/url' };

  it('is the first of argument, --url-file, GRADCAST_URL, GRADCAST_URL_FILE', () => {
    expect(place(['lab:2'], env)).toEqual({ link: { url: 'ws://lab:2/' } });
    expect(place(['--url-file', '/flag/url'], env)).toEqual({ urlFile: '/flag/url' });
    expect(place([], env)).toEqual({ link: { url: 'ws://env:1/', token: 'secret' } });
    expect(place([], { ...env, GRADCAST_URL: ' ' })).toEqual({ urlFile: '/env/url' });
  });

  it('is an error with a sentence if there is none, are two, or a link is wrong', () => {
    expect(() => place([], {})).toThrow('set GRADCAST_URL or --url-file');
    expect(() => place(['lab:2', '--url-file', 'x'], {})).toThrow('both name a coordinator');
    expect(() => place([], { GRADCAST_URL: 'lab' })).toThrow("GRADCAST_URL: 'lab' is not the address");
    expect(() => place(['lab'], env)).toThrow(/^'lab' is not the address/);
  });
});

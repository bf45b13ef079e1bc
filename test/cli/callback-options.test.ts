import { describe, expect, it, vi } from 'vitest';
import { addCallbackOptions, earlyStoppingSettings } from '../../cli/callback-options.ts';
import { CommandWithVariables } from '../../cli/environment.ts';
import { callbacksFrom, type CallbackOptions } from '../../coordinator/callbacks/from-options.ts';

/** Names of the callbacks of a command line. */
function callbacksOf(...args: string[]): (string | undefined)[] {
  let names: (string | undefined)[] = [];
  const command = addCallbackOptions(new CommandWithVariables('train')).action((flags: CallbackOptions) => {
    names = callbacksFrom(flags).map(({ name }) => name);
  });
  command.parse(args, { from: 'user' });
  return names;
}

describe('the options of callbacks', () => {
  it("make callbacks that have the options' settings checked", () => {
    expect(callbacksOf('--early-stopping', 'metric=val_auc', '--save-best')).toEqual([
      'modelCheckpoint',
      'earlyStopping',
    ]);
    expect(() => callbacksOf('--save-best', 'sharpness')).toThrow(
      'cannot tell whether a larger sharpness is better',
    );
  });

  it('name the setting that a mistyped one is near to', () => {
    expect(() => earlyStoppingSettings('pateince=3')).toThrow(
      "pateince=3 is no setting. Did you mean 'patience'? It takes settings such as patience=5",
    );
  });

  it('use a secret of the environment for a webhook, and ignore it without one', () => {
    vi.stubEnv('GRADCAST_WEBHOOK_SECRET', 's3cret');
    try {
      expect(callbacksOf()).toEqual([]);
      expect(callbacksOf('--webhook', 'http://a/')).toEqual(['webhook']);
    } finally {
      vi.unstubAllEnvs();
    }
    expect(() => callbacksOf('--webhook-secret', 's3cret')).toThrow('--webhook-secret needs --webhook');
  });
});

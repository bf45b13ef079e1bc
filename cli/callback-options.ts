import { InvalidArgumentError, Option, type Command } from 'commander';
import type { EarlyStoppingOptions } from '../coordinator/callbacks/early-stopping.ts';
import { didYouMean } from '../shared/util/suggest.ts';

const GROUP = 'Callbacks:';

/** Parsers of the settings of --early-stopping by name, with the options that they are. */
const SETTINGS: Readonly<
  Record<string, readonly [keyof EarlyStoppingOptions, (text: string) => number | string | boolean]>
> = {
  metric: ['monitor', (text) => text],
  patience: ['patience', toNumber],
  'min-delta': ['minDelta', toNumber],
  mode: ['mode', (text) => text],
  baseline: ['baseline', toNumber],
  'start-from-epoch': ['startFromEpoch', toNumber],
  'restore-best': ['restoreBestWeights', toBoolean],
};

/** Early stopping on the command line, where the best epoch is wanted: Keras' patience of 0 stops at the first setback. */
const EARLY_STOPPING: EarlyStoppingOptions = { patience: 3, restoreBestWeights: true };

/** Name of the option --webhook-secret. */
const SECRET = 'webhookSecret';

/** Adds the options of callbacks to a command that trains. */
export function addCallbackOptions(command: Command): Command {
  const options = [
    new Option(
      '--early-stopping [settings]',
      `end the run when a metric stops improving, with the weights of the best epoch; settings: ${Object.keys(SETTINGS).join(', ')} (default: metric=val_loss,patience=3)`,
    )
      .preset('')
      .argParser(earlyStoppingSettings),
    new Option('--save-best [metric]', 'save the model of the best epoch in best/ of the run, too').preset(
      'val_loss',
    ),
    new Option('--csv-log <file>', "write a row for each epoch, as Keras' CSVLogger does"),
    new Option(
      '--tensorboard <dir>',
      'write files for TensorBoard: metrics, histograms of weights, the graph',
    ),
    new Option('--webhook <url>', 'post JSON to a URL at the beginning, after each epoch and at the end'),
    new Option('--webhook-secret <secret>', 'sign these requests with HMAC-SHA256'),
  ];
  for (const option of options) command.addOption(option.helpGroup(GROUP));
  return command.hook('preAction', (_, action) => {
    // The environment may have a secret for other runs.
    if (action.getOptionValueSource(SECRET) === 'env' && action.getOptionValue('webhook') === undefined)
      action.setOptionValue(SECRET, undefined);
  });
}

/** Parses settings of early stopping: metric=val_accuracy,patience=5. */
export function earlyStoppingSettings(text: string): EarlyStoppingOptions {
  const settings: Partial<Record<keyof EarlyStoppingOptions, number | string | boolean>> = {};
  for (const part of text.split(',').filter((each) => each.trim() !== '')) {
    const [, name = part, value = ''] = /^([^=]*)=(.*)$/.exec(part) ?? [];
    const setting = Object.hasOwn(SETTINGS, name.trim()) ? SETTINGS[name.trim()] : undefined;
    if (setting === undefined || value.trim() === '') {
      throw new InvalidArgumentError(
        `${part} is no setting.${didYouMean(name.trim(), Object.keys(SETTINGS))} It takes settings such as patience=5, of ${Object.keys(SETTINGS).join(', ')}.`,
      );
    }
    const [key, parse] = setting;
    settings[key] = parse(value.trim());
  }
  return { ...EARLY_STOPPING, ...settings } as EarlyStoppingOptions;
}

function toNumber(text: string): number {
  if (Number.isFinite(Number(text))) return Number(text);
  throw new InvalidArgumentError(`${text} is no number.`);
}

function toBoolean(text: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  throw new InvalidArgumentError(`It takes true or false, not ${text}.`);
}

import type { Callback } from './callback.ts';
import { csvLog } from './csv-log.ts';
import { earlyStopping, type EarlyStoppingOptions } from './early-stopping.ts';
import { modelCheckpoint } from './model-checkpoint.ts';
import { tensorBoard } from './tensorboard.ts';
import { webhook } from './webhook.ts';

/** Callbacks as options of the command line name them. */
export interface CallbackOptions {
  readonly earlyStopping?: EarlyStoppingOptions;
  /** Metric whose best epoch is saved. */
  readonly saveBest?: string;
  readonly csvLog?: string;
  /** Folder of TensorBoard's files. */
  readonly tensorboard?: string;
  readonly webhook?: string;
  readonly webhookSecret?: string;
}

/**
 * Callbacks that options of the command line ask for. Those that write come first, so that early stopping finds all written.
 * @throws Error that names an option with a wrong value
 * @example
 * callbacksFrom({ earlyStopping: { patience: 3 }, csvLog: 'history.csv' });
 */
export function callbacksFrom(options: CallbackOptions): Callback[] {
  const { saveBest, csvLog: csvFile, tensorboard, webhook: url, webhookSecret: secret } = options;
  if (secret !== undefined && url === undefined)
    throw new Error('--webhook-secret needs --webhook with the URL of the requests that it signs.');
  const callbacks: (Callback | null)[] = [
    csvFile === undefined ? null : csvLog(csvFile),
    tensorboard === undefined ? null : tensorBoard({ dir: tensorboard, histograms: 1 }),
    saveBest === undefined ? null : modelCheckpoint({ monitor: saveBest, saveBestOnly: true }),
    url === undefined ? null : webhook(url, secret === undefined ? {} : { secret }),
    options.earlyStopping === undefined ? null : earlyStopping(options.earlyStopping),
  ];
  return callbacks.filter((callback) => callback !== null);
}

/** Options for config.json, without secrets: the URL of a webhook may contain one. */
export function withoutSecrets<Options extends CallbackOptions>(options: Options): Options {
  const { webhook: url, webhookSecret: secret } = options;
  return {
    ...options,
    ...(url === undefined ? {} : { webhook: new URL(url).origin }),
    ...(secret === undefined ? {} : { webhookSecret: 'set' }),
  };
}

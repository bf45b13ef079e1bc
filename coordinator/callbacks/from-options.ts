import * as v from 'valibot';
import type { Callback } from './callback.ts';
import { didYouMean, namesIn } from '../../shared/util/suggest.ts';
import { csvLog } from './csv-log.ts';
import { earlyStopping, type EarlyStoppingOptions } from './early-stopping.ts';
import { learningRateSchedule, reduceLROnPlateau } from './learning-rate.ts';
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

const number = v.optional(v.number());
const text = v.optional(v.string());
const flag = v.optional(v.boolean());
const monitor = { monitor: text, mode: v.optional(v.picklist(['auto', 'min', 'max'])) };

/** Callbacks as JSON: their name, and their options. */
const callbackSchema = v.variant('name', [
  v.strictObject({
    name: v.literal('earlyStopping'),
    ...monitor,
    minDelta: number,
    patience: number,
    baseline: number,
    restoreBestWeights: flag,
    startFromEpoch: number,
  }),
  v.strictObject({
    name: v.literal('modelCheckpoint'),
    ...monitor,
    path: text,
    saveBestOnly: flag,
    baseline: number,
    everySteps: number,
  }),
  v.strictObject({
    name: v.literal('learningRateSchedule'),
    // The optimizer checks its settings.
    schedule: v.looseObject({ name: v.string() }),
  }),
  v.looseObject({ name: v.literal('reduceLROnPlateau') }),
  v.strictObject({ name: v.literal('csvLog'), file: v.string(), separator: text, append: flag }),
  v.strictObject({
    name: v.literal('tensorBoard'),
    dir: text,
    histograms: number,
    graph: flag,
    everySteps: number,
  }),
  v.strictObject({
    name: v.literal('webhook'),
    url: v.string(),
    events: v.optional(v.array(v.picklist(['begin', 'epoch', 'end', 'error']))),
    headers: v.optional(v.record(v.string(), v.string())),
    secret: text,
    timeoutMs: number,
    retries: number,
    endTimeoutMs: number,
  }),
]);
type CallbackJson = v.InferOutput<typeof callbackSchema>;

/**
 * Callbacks of a task in JSON.
 * @throws Error with a sentence that names the callback and the option
 * @example
 * callbacksFromJson([{ name: 'earlyStopping', patience: 3 }, { name: 'csvLog', file: 'history.csv' }]);
 */
export function callbacksFromJson(value: unknown): Callback[] {
  if (!Array.isArray(value))
    throw new Error('callbacks is no list. Write [{ "name": "earlyStopping", "patience": 3 }].');
  return value.map((entry: unknown, i) => {
    const { success, output, issues } = v.safeParse(callbackSchema, entry);
    if (success) return create(output);
    const [issue] = issues;
    const { name = `callback ${i + 1}` } = (entry ?? {}) as { readonly name?: string };
    const key = v.getDotPath(issue) ?? 'name';
    throw new Error(
      issue.type === 'variant'
        ? `There is no callback ${name}.${didYouMean(name, namesIn(issue.expected))} Use one of ${namesIn(issue.expected).join(', ')}.`
        : issue.expected === 'never'
          ? `The callback ${name} has no option ${key}.${didYouMean(key, optionsOf(name))}`
          : `${key} of the callback ${name} is wrong: ${issue.message.replace(/^Invalid (\w+): /, '')}.`,
    );
  });
}

/** Names of the options of a callback. */
const optionsOf = (name: string): string[] =>
  callbackSchema.options.flatMap(({ entries }) =>
    entries.name.literal === name ? Object.keys(entries) : [],
  );

function create(json: CallbackJson): Callback {
  switch (json.name) {
    case 'earlyStopping':
      return earlyStopping(json as Parameters<typeof earlyStopping>[0]);
    case 'modelCheckpoint':
      return modelCheckpoint(json as Parameters<typeof modelCheckpoint>[0]);
    case 'learningRateSchedule':
      return learningRateSchedule(json.schedule as Parameters<typeof learningRateSchedule>[0]);
    case 'reduceLROnPlateau':
      return reduceLROnPlateau(json as Parameters<typeof reduceLROnPlateau>[0]);
    case 'csvLog':
      return csvLog(json.file, json as Parameters<typeof csvLog>[1]);
    case 'tensorBoard':
      return tensorBoard(json as Parameters<typeof tensorBoard>[0]);
    case 'webhook':
      return webhook(json.url, json as Parameters<typeof webhook>[1]);
  }
}

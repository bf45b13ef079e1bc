import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Dataset } from '../../shared/data/dataset.ts';
import { parsePreprocessing } from '../../shared/data/preprocessing.ts';
import { readModelFile } from '../model-file/model-file.ts';
import { loadCustomCode, loadModel as loadSavedModel } from '../run/model-folder.ts';
import { loadDataset as loadAnyDataset, userCacheDir } from '../data/load-dataset.ts';
import { withDataOptionNames } from '../data/option-words.ts';
import type { OptionName } from '../../shared/util/option-names.ts';
import type { Reporter } from '../report/reporter.ts';
import { checkTaskData, type DataFiles } from '../task/task.ts';
import { completeReporter } from './reporters.ts';
import { thisPackage } from './this-package.ts';
import { computingModel, exportModel } from './compute-model.ts';
import type { TrainedModel } from './trained-model.ts';

/**
 * Options of {@link loadDataset}.
 * @example
 * ```ts
 * const options: DatasetOptions = { source: 'fashion-mnist/', limit: 6_000 };
 * ```
 */
export interface DatasetOptions extends DataFiles {
  /** Whether synthetic digits take the place of MNIST. @default 'whenOffline' */
  readonly syntheticDigits?: 'always' | 'whenOffline' | 'never' | undefined;
  /** Seed of synthetic digits. @default 1337 */
  readonly seed?: number | undefined;
  /** Receives lines about files and downloads. @default none */
  readonly reporter?: Partial<Reporter> | undefined;
  /** Cancels a download. @default never */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_SEED = 1337;

/**
 * Loads a data set, to look at it or change it before it is the data of a task.
 * @throws DataError with a sentence if a file is missing or damaged
 * @example
 * ```ts
 * const dataset = await loadDataset({ source: 'fashion-mnist/', limit: 6_000 });
 * const run = train({ data: dataset });
 * ```
 */
export async function loadDataset(options: DatasetOptions = {}): Promise<Dataset> {
  const { source, syntheticDigits, seed = DEFAULT_SEED, reporter, signal, ...others } = options;
  checkTaskData({ source, ...others }, 'loadDataset');
  // Without a task, the settings are those of this function.
  const optionName: OptionName = (key) => key.replace(/^data\./, '');
  return withDataOptionNames(optionName, completeReporter(reporter), (report) =>
    loadAnyDataset({
      ...others,
      signal,
      dataDir: source,
      useSyntheticDigits: syntheticDigits,
      seed,
      report,
      env: process.env,
      cacheDir: userCacheDir(),
      fetch: globalThis.fetch,
    }),
  );
}

/**
 * A saved model. It computes in this process, with WebAssembly.
 * @example
 * ```ts
 * const { predict }: SavedModel = await loadModel('model/');
 * ```
 */
export type SavedModel = Pick<
  TrainedModel,
  'job' | 'weights' | 'weightNames' | 'evaluate' | 'predict' | 'predictRows' | 'export'
>;

/**
 * Loads a model that {@link TrainedModel.save} or a run has saved.
 * @param folder folder of the model or of the run
 * @param options.trust SHA-256 of custom code that may be run; without it, a model that has such code does not compute
 * @throws Error with a sentence if there is no model
 * @example
 * ```ts
 * const model = await loadModel('runs/2026-01-31-k3v9qd');
 * console.log(await model.predict([pixels]));
 * ```
 */
export async function loadModel(
  folder: string,
  { trust = [] }: { readonly trust?: readonly string[] } = {},
): Promise<SavedModel> {
  const { job, weights, metadata } = await loadSavedModel(folder);
  const inside = join(folder, 'model/model.json');
  const file = await readModelFile(existsSync(inside) ? inside : join(folder, 'model.json'));
  const weightNames = [...(file.weights?.keys() ?? [])];
  const model = { job, weights, weightNames };
  const { gradcast, epochs, classNames } = metadata;
  const preprocessing = parsePreprocessing(metadata.preprocessing);
  const about = { gradcast, epochs, preprocessing };
  return {
    ...model,
    ...computingModel(
      job,
      weights,
      () => thisPackage().openCoordinatorEngine('wasm'),
      {
        ...(preprocessing === undefined ? {} : { preprocessing }),
        ...(classNames === undefined ? {} : { classNames }),
      },
      () => loadCustomCode(folder, job, trust),
    ),
    export: (path, options) => exportModel({ ...model, ...about }, path, options),
  };
}

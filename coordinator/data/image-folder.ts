import { join } from 'node:path';
import type { Dataset, LazySplit } from '../../shared/data/dataset.ts';
import { imageTensors } from '../../shared/model/tensors.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { DEFAULT_VALIDATION_SPLIT, type DataOptions } from './data-options.ts';
import type { DataReporter } from './data-reporter.ts';
import { stratifiedSplit } from './validation-split.ts';
import { lookAtImages } from './look-at-images.ts';
import { ImageSource, mixedOrder } from './image-source.ts';
import { listImages, type ImageFiles } from './list-images.ts';

export interface ImageFolderOptions extends Pick<
  DataOptions,
  'validationSplit' | 'seed' | 'imageSize' | 'channels' | 'fit'
> {
  /** Classes in the order of a model. @default by the names of the folders */
  readonly classNames?: readonly string[] | undefined;
  /** Whether all images are to test on. @default false */
  readonly isTest?: boolean | undefined;
  /** Absolute path. */
  readonly folder: string;
  /** Option or variable that named the folder, for example '--data'. */
  readonly option: string;
  /** Name of the data set. */
  readonly name: string;
  /** Absolute path of the images to test on, if they are not in the folder. */
  readonly testFolder?: string | undefined;
  readonly cacheDir: string;
  /** Limit of the cache of decoded images; 0 for no cache. */
  readonly maxCacheBytes?: number | undefined;
  readonly report: DataReporter;
  readonly signal?: AbortSignal | undefined;
}

/** A data set whose samples are decoded when they are needed. */
export interface LazyDataset extends Omit<Dataset, 'train' | 'test'> {
  readonly train: LazySplit;
  readonly test: LazySplit;
}

/**
 * Opens a data set of images, one folder a class. Files are listed, and the headers of some are read; images are decoded when they are
 * needed. Without a test part, some of the images are for validation.
 *
 * @throws DataError if the folders hold no such data set, or if an image whose header is read cannot be
 * @throws the signal's reason once it is aborted
 */
export async function openImageFolder(options: ImageFolderOptions): Promise<LazyDataset> {
  const { folder, option, name, testFolder, cacheDir, maxCacheBytes, report, signal } = options;
  const progress = listProgress(report);
  const { classNames, train, test, notes } = await listImages(folder, testFolder, {
    option,
    progress: progress.update,
    signal,
    classNames: options.classNames,
  });
  progress.end();
  const look = await lookAtImages(train, options, report);
  const { image } = look;
  const parts = test !== null && options.validationSplit === undefined ? [train, test] : [train];
  const sources = await ImageSource.open(parts, {
    image,
    classes: classNames.length,
    cacheFolder: join(cacheDir, 'samples'),
    maxCacheBytes,
    warn: (line) => report.warn(line),
  });
  const [trainSource, testSource] = sources as [ImageSource, ImageSource?];
  const order = mixedOrder(train);
  const whole = trainSource.split(order);
  const splits =
    testSource !== undefined && test !== null
      ? { train: whole, test: testSource.split(mixedOrder(test)) }
      : options.isTest === true && test === null
        ? { train: whole, test: whole }
        : divide(trainSource, train, order, options);
  const [height, width] = image.size;
  report.info(
    `Images: ${splits.train.count} to train on, ${splits.test.count} to validate on, in ${classNames.length} classes; ${look.description}.`,
  );
  if (splits.train.count < train.paths.length) {
    const percent = Math.round((100 * splits.test.count) / train.paths.length);
    report.info(
      `${test === null ? 'The folder has no test part' : 'The test part is not used'}: ${percent}% of each class is to validate on (--validation-split).`,
    );
  }
  for (const line of notes) report.warn(line);
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  const files = sum(parts.map(({ paths }) => paths.length));
  const cached = sum(sources.map(({ cachedCount }) => cachedCount));
  if (cached < files && cached > 0)
    report.info(
      `The disk has room for ${cached} of ${files} decoded images; the others are decoded in every epoch.`,
    );
  return {
    name,
    description: `Images from ${sanitizeForTerminal(folder)}, one folder a class.`,
    ...imageTensors([height, width, image.channels], classNames.length),
    ...(classNames.length > 256
      ? { targets: [{ name: 'label', shape: [], dtype: 'int32', classes: classNames.length }] }
      : {}),
    classNames,
    preprocessing: { kind: 'image', ...image, size: [height, width] },
    ...splits,
  };
}

function divide(
  source: ImageSource,
  { labels }: ImageFiles,
  order: Uint32Array,
  { validationSplit = DEFAULT_VALIDATION_SPLIT, seed }: ImageFolderOptions,
): Pick<LazyDataset, 'train' | 'test'> {
  const parts = stratifiedSplit(
    Array.from(order, (file) => labels[file] as number),
    validationSplit,
    seed,
  );
  const pick = (samples: Uint32Array): Uint32Array => samples.map((sample) => order[sample] as number);
  return { train: source.split(pick(parts.train)), test: source.split(pick(parts.test)) };
}

/** Shows the number of listed files, a few times a second. */
function listProgress(report: DataReporter): { update: (files: number) => void; end: () => void } {
  let shown = 0;
  return {
    update(files) {
      if (files - shown < 5000) return;
      shown = files;
      report.progress('Listing images', files, undefined);
    },
    end() {
      if (shown > 0) report.progress('Listing images', shown, shown);
    },
  };
}

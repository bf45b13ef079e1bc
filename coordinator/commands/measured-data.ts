import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Preprocessing } from '../../shared/data/preprocessing.ts';
import { DEFAULT_VALIDATION_SPLIT } from '../data/data-options.ts';
import { tableFormatOf } from '../data/file-names.ts';
import type { DataFlags } from '../data/load-dataset.ts';
import { findNamedSet } from '../data/load-named.ts';
import type { MeasuredModel } from '../data/open-source.ts';
import { withoutOwnOptions } from '../data/option-uses.ts';
import { readRecordedSource } from '../run/run-folder.ts';

/** Data sets that are read when none is named. */
const DEFAULT_SETS = ['mnist', 'drawn-digits'];

/**
 * Data to measure on: that of the run with its options, unless the person names other data. Other data is measured as a whole, or its
 * test part, with the options of the run that it has a use for.
 * @param trainedOn name of the data of the run
 * @throws Error with a sentence if no data is named, and the run does not record its own
 */
export async function chooseMeasuredData(
  modelDir: string,
  flags: Omit<DataFlags, 'seed'>,
  trainedOn: string,
  preprocessing: Preprocessing | undefined,
): Promise<Omit<DataFlags, 'seed'> & MeasuredModel> {
  const recorded = await readRecordedSource(modelDir);
  const { data: ownData, testData: ownTest, validationSplit: ownSplit, ...options } = recorded ?? {};
  const { data, testData, validationSplit } = flags;
  const trainedWith = withoutOwnOptions(options, preprocessing);
  const other = testData ?? data;
  const isOwn = testData === undefined && (data === undefined || isSamePath(data, ownData));
  if (isOwn || other === undefined) {
    if (recorded === null && data === undefined && !DEFAULT_SETS.includes(trainedOn)) {
      throw new Error(
        `${modelDir} does not say where the data of its run is (${trainedOn}). Name it, or other data, with --data.`,
      );
    }
    if (validationSplit !== undefined && validationSplit !== (ownSplit ?? DEFAULT_VALIDATION_SPLIT)) {
      throw new Error(
        `--validation-split ${validationSplit} is another part than the run held back, so the model was trained on some of it. Leave it out.`,
      );
    }
    // Either of them says what is measured, and the one of the command line counts.
    const part =
      validationSplit === undefined ? { testData: ownTest, validationSplit: ownSplit } : { validationSplit };
    return { ...flags, ...part, data: data ?? ownData, format: flags.format ?? options.format, trainedWith };
  }
  const isFile = existsSync(resolve(other));
  // A data set with a name of its own is read in its own way.
  if (!isFile && findNamedSet(other) !== null) return flags;
  // The name of a file says more about its format than the format of other data.
  const isPlain = isFile && (await stat(resolve(other))).isFile() && tableFormatOf(other) === null;
  const format = flags.format ?? (isPlain ? options.format : undefined);
  return { ...flags, format, trainedWith, measuresAll: true };
}

const isSamePath = (path: string, other: string | undefined): boolean =>
  other !== undefined && (path === other || resolve(path) === resolve(other));

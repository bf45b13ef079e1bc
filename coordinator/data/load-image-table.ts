import type { Dataset } from '../../shared/data/dataset.ts';
import { assembleDataset } from './assemble.ts';
import { DEFAULT_VALIDATION_SPLIT } from './data-options.ts';
import type { DataReporter } from './data-reporter.ts';
import { openText, type About, type TableFiles, type TableLoadOptions } from './find-tables.ts';
import { readArray } from './read-array.ts';
import {
  hasCountedNames,
  hasPixelNames,
  isLabelName,
  isSquareImage,
  splitLabeled,
  takeRows,
  type TableParts,
} from './split-table.ts';
import { parseCsv } from './table/parse-csv.ts';
import { toLabels } from './to-labels.ts';
import { stratifiedSplit } from './validation-split.ts';

/** Rows and bytes that show whether a table has pixels. */
const FIRST_ROWS = 10;
const MAX_FIRST_BYTES = 2 ** 20;

/** Whether a table has a label, which is the target if one is named, and the pixels of an image in each row. */
export async function isImageTable(
  { train }: TableFiles,
  { target }: Pick<TableLoadOptions, 'target'>,
): Promise<boolean> {
  const [file] = train;
  if (file === undefined) return false;
  const contents = await openText(file, 'CSV text');
  async function* first(): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    let lines = 0;
    for await (const chunk of contents.chunks) {
      yield chunk;
      bytes += chunk.length;
      for (const byte of chunk) if (byte === 0x0a) lines++;
      if (bytes >= MAX_FIRST_BYTES || lines > FIRST_ROWS) return;
    }
  }
  const rows: string[][] = [];
  try {
    await parseCsv(first(), { path: file.path }, (row) => void (rows.length < FIRST_ROWS && rows.push(row)));
  } catch {
    // What is wrong is said when the whole file is read.
    return false;
  } finally {
    await contents.close();
  }
  const [names = [], ...below] = rows;
  const areBytes = below.every((row) => row.every(isByteText));
  const [wanted, ...others] = [target ?? []].flat();
  const label = names.find(isLabelName)?.trim();
  // A target that is no label makes it a table of numbers.
  if (wanted !== undefined && (others.length > 0 || wanted !== label)) return false;
  return (
    hasPixelNames(names) ||
    (hasCountedNames(names) && areBytes) ||
    (names.every(isByteText) && areBytes && isSquareImage(names.length - 1))
  );
}

const isByteText = (text: string): boolean => /^\s*\d{1,3}\s*$/.test(text) && Number(text) <= 255;

/** Loads images of a table, of which a part is for testing if there is no test file. */
export async function loadImageTable(
  { train: [file], test }: TableFiles,
  { validationSplit = DEFAULT_VALIDATION_SPLIT, seed, isTest = false }: TableLoadOptions,
  about: About,
  report: DataReporter,
): Promise<Dataset> {
  const noted = new Set<string>();
  const note = (line: string): void => {
    // Both parts are of one file.
    if (!noted.has(line)) report.info(line);
    noted.add(line);
  };
  const arrays = splitLabeled(await readArray(file));
  if (test?.[0] !== undefined) {
    return assembleDataset({ train: arrays, test: splitLabeled(await readArray(test[0])) }, about, note);
  }
  if (isTest) return assembleDataset({ train: arrays, test: arrays }, about, note);
  const numbers = stratifiedSplit(toLabels(arrays.labels).labels, validationSplit, seed);
  note(
    `Validation: ${numbers.test.length} of ${numbers.train.length + numbers.test.length} rows, chosen at random with the same part of each class (--validation-split, --test-data).`,
  );
  const take = (part: Uint32Array): TableParts => ({
    images: takeRows(arrays.images, part),
    labels: takeRows(arrays.labels, part),
  });
  return assembleDataset({ train: take(numbers.train), test: take(numbers.test) }, about, note);
}

import { basename } from 'node:path';
import { invalidFileError } from '../../shared/data/data-error.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { assembleDataset, type SplitArrays } from './assemble.ts';
import { chooseFiles, type ChosenFiles, type SplitFiles } from './choose-files.ts';
import type { DataFile } from './data-file.ts';
import type { DataReporter } from './data-reporter.ts';
import { datasetName, parseRole } from './file-names.ts';
import { findFiles } from './find-files.ts';
import { areVectors, vectorDataset, type VectorDataset } from './idx-vectors.ts';
import { matchesPublished, MNIST_FILES } from './named/data-sets.ts';
import { readArray } from './read-array.ts';
import { splitLabeled, splitTable } from './split-table.ts';
import { openContents } from './unpack.ts';

/** Limit for files that are opened if their names give no complete data set. */
const MAX_SNIFFED = 24;

/**
 * Reads the data set in a folder, as IDX or CSV files, bare or packed. Its name is 'mnist' if all four files have the
 * published contents, else the folder's name.
 *
 * @param folder absolute path of a folder or zip archive, optionally with a prefix of file names
 * @param option option or variable that named the folder, for example '--data'
 * @param isTest whether all samples are to test on, so that files of test samples alone do
 * @throws DataError if a part is missing or damaged, or if the parts do not fit each other
 */
export async function readFolder(
  folder: string,
  option: string,
  report: DataReporter,
  isTest = false,
): Promise<VectorDataset> {
  const found = await findFiles(folder, option);
  const files = await chooseByNameOrContents(found, (candidates) =>
    chooseFiles(candidates, folder, option, isTest),
  );
  const notes: string[] = [];
  const note = (line: string): void => void notes.push(line);
  const arrays = {
    train: await readSplit(files.train, note),
    test: files.test === null ? null : await readTestSplit(files.test, note),
  };
  const about = describeSource(arrays, folder);
  const dataset = await assemble(arrays, about, note);
  report.info(
    `Files: ${describeFiles(files, isTest && files.test === null ? 'to measure' : 'to train on')}.`,
  );
  for (const line of notes) report.info(line);
  const names = [
    basename(folder),
    ...[files.train, files.test ?? {}].flatMap(filesOf).map(({ name }) => name),
  ];
  return names.some((name) => /emnist/i.test(name)) ? { ...dataset, looksTransposed: true } : dataset;
}

/** Images if the arrays can be that, else vectors or other tensors. */
async function assemble(
  arrays: { readonly train: SplitArrays; readonly test: SplitArrays | null },
  about: Pick<Dataset, 'name' | 'description'>,
  note: (line: string) => void,
): Promise<VectorDataset> {
  const { train, test } = arrays;
  if (!areVectors(train.images) || (test !== null && !areVectors(test.images)))
    return assembleDataset(arrays, about, note);
  const { dataset, lines } = await vectorDataset(arrays, about);
  note(
    `${train.images.path}: samples of ${train.images.dimensions.slice(1).join(' x ')} numbers are no images; they are read as they are.`,
  );
  for (const line of lines) note(line);
  return dataset;
}

function describeSource(
  { train, test }: { readonly train: SplitArrays; readonly test: SplitArrays | null },
  folder: string,
): Pick<Dataset, 'name' | 'description'> {
  const path = sanitizeForTerminal(folder);
  const isMnist = Object.entries({
    trainImages: train.images,
    trainLabels: train.labels,
    testImages: test?.images,
    testLabels: test?.labels,
  }).every(
    ([role, array]) =>
      array?.contents !== undefined &&
      matchesPublished(array.contents, MNIST_FILES[role as keyof typeof MNIST_FILES]),
  );
  if (isMnist) return { name: 'mnist', description: `MNIST handwritten digits, from ${path}.` };
  return { name: datasetName(folder), description: `Your own data, from ${path}.` };
}

/** Chooses files by their names, else by their contents: a CSV file may have the name of an IDX file of images. */
async function chooseByNameOrContents(
  files: readonly DataFile[],
  choose: (files: readonly DataFile[]) => ChosenFiles,
): Promise<ChosenFiles> {
  try {
    return choose(files);
  } catch (error) {
    const images = files.filter(
      (file) => file.problem === undefined && parseRole(file.name)?.kind === 'images',
    );
    const tables = new Set<DataFile>();
    for (const file of images.slice(0, MAX_SNIFFED)) {
      // A damaged file is not a table. The error for missing files comes before the one for damaged files.
      const contents = await openContents(file).catch(() => null);
      await contents?.close();
      if (contents?.content.kind === 'csv') tables.add(file);
    }
    if (tables.size === 0) throw error;
    return choose(files.map((file) => (tables.has(file) ? { ...file, isTable: true } : file)));
  }
}

/** Reads the test part; null if it is a table of pixels without labels, as that of a competition is. @throws DataError */
async function readTestSplit(files: SplitFiles, note: (line: string) => void): Promise<SplitArrays | null> {
  const { table, labels } = files;
  if (table === undefined || labels !== undefined) return readSplit(files, note);
  const read = await readArray(table);
  if (read.columns === undefined) return readSplit(files, note);
  const parts = splitTable(read);
  if (parts !== null) return noteRenamed(parts, table, note);
  note(`${read.path} has no labels, so it is not used.`);
  return null;
}

/** Reads the images and labels of a split. @throws DataError */
async function readSplit(
  { table, images, labels }: SplitFiles,
  note: (line: string) => void,
): Promise<SplitArrays> {
  const first = await readArray(table ?? images);
  // IDX files have no columns.
  const isCsv = first.columns !== undefined;
  if (table !== undefined && !isCsv) {
    throw invalidFileError(
      first.path,
      'a CSV file of labels and pixels',
      'an IDX file',
      'Remove .csv from its name.',
    );
  }
  if (table !== undefined && labels === undefined) return noteRenamed(splitLabeled(first), table, note);
  const both = isCsv && images !== undefined ? splitTable(first) : null;
  if (both !== null && images !== undefined) return noteRenamed(both, images, note);
  return { images: first, labels: await readArray(labels) };
}

function noteRenamed(
  parts: SplitArrays,
  { name, path }: DataFile,
  note: (line: string) => void,
): SplitArrays {
  if (parseRole(name)?.kind !== 'table') {
    note(`${path}: CSV text with the name of an IDX file; the labels are read from its own column.`);
  }
  return parts;
}

function filesOf({ table, images, labels }: SplitFiles): DataFile[] {
  return (table === undefined ? [images, labels] : [table]).filter((file) => file !== undefined);
}

function describeFiles({ train, test }: ChosenFiles, use: string): string {
  const namesOf = (files: SplitFiles): string =>
    filesOf(files)
      .map(({ name }) => sanitizeForTerminal(name))
      .join(' and ');
  return `${namesOf(train)} ${use}${test === null ? '' : `, ${namesOf(test)} to validate on`}`;
}

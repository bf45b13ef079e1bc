import { basename, join } from 'node:path';
import { DataError } from '../../shared/data/data-error.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { DataFile } from './data-file.ts';
import { hasImageName } from './images/image-type.ts';
import { parseRole, type FileRole, type SplitName } from './file-names.ts';

/** Files of a split: images and labels, or a table of both. The file of images may be a table with another name. */
export interface SplitFiles {
  readonly images?: DataFile;
  readonly labels?: DataFile;
  readonly table?: DataFile;
}

export interface ChosenFiles {
  readonly train: SplitFiles;
  /** Files named test or t10k, or else val; null if no file is named so. */
  readonly test: SplitFiles | null;
}

interface Candidate {
  readonly file: DataFile;
  readonly role: FileRole;
}

type Splits = Partial<Record<SplitName, { -readonly [Kind in keyof SplitFiles]: SplitFiles[Kind] }>>;

interface FileSet {
  readonly name: string;
  readonly depth: number;
  readonly splits: Splits;
}

/** Maximum number of items in an error. */
const MAX_LISTED = 6;

/**
 * Chooses the files of one data set in a folder. Of several sets, the one in the highest folder is chosen, and IDX files
 * before a table. Of several files for one part: readable before unreadable, first downloads before second ones, bare
 * before packed.
 *
 * @param folder absolute path
 * @param option option or variable that named the folder, for example '--data'
 * @param isTest whether files of test samples alone do, as those to train on
 * @throws DataError if a part is missing, or if two sets are equally good
 */
export function chooseFiles(
  files: readonly DataFile[],
  folder: string,
  option: string,
  isTest = false,
): ChosenFiles {
  const hasTraining = files.some(({ name }) => parseRole(name)?.split === 'train');
  const candidates = files
    .flatMap((file): Candidate[] => {
      const role = parseRole(file.name);
      if (role === null) return [];
      const split = isTest && !hasTraining ? 'train' : role.split;
      return [{ file, role: { ...role, split, kind: file.isTable === true ? 'table' : role.kind } }];
    })
    .toSorted(compareCandidates);
  const sets = groupIntoSets(candidates, ({ set }) => set);
  const complete = sets.filter(isComplete);
  // If no set is complete by name, one file of each kind still makes a set, whatever else the names say.
  const all = groupIntoSets(candidates, () => '');
  const isWithoutTest = all.every(isForTraining);
  const [best, ...others] =
    complete.length > 0
      ? complete.toSorted(compareSets)
      : isWithoutTest
        ? sets.filter(isForTraining).toSorted(compareSets)
        : all.filter(isComplete);
  if (best === undefined) throw missingFilesError(files, sets, folder, option);
  const rivals = others.filter((other) => compareSets(best, other) === 0);
  if (rivals.length === 0) return pickFiles(best);
  const names = [best, ...rivals].slice(0, MAX_LISTED).map(({ name }) => sanitizeForTerminal(name));
  throw new DataError(
    `${sanitizeForTerminal(folder)} (from ${option}) holds several data sets: ${names.join(', ')}. ` +
      `Choose one, for example ${option} ${sanitizeForTerminal(join(folder, best.name))}.`,
  );
}

function compareCandidates(a: Candidate, b: Candidate): number {
  const keys = ({ file, role }: Candidate): number[] => [
    file.problem === undefined ? 0 : 1,
    role.isCopy ? 1 : 0,
    role.depth,
    role.packing,
  ];
  const keysA = keys(a);
  const keysB = keys(b);
  const difference = keysA.findIndex((value, index) => value !== keysB[index]);
  if (difference >= 0) return (keysA[difference] ?? 0) - (keysB[difference] ?? 0);
  return a.file.name < b.file.name ? -1 : 1;
}

/** @param candidates the best ones first */
function groupIntoSets(candidates: readonly Candidate[], keyOf: (role: FileRole) => string): FileSet[] {
  const sets = new Map<string, { name: string; depth: number; splits: Splits }>();
  for (const { file, role } of candidates) {
    const name = keyOf(role);
    const set = sets.get(name) ?? { name, depth: role.depth, splits: {} };
    sets.set(name, set);
    set.depth = Math.min(set.depth, role.depth);
    (set.splits[role.split] ??= {})[role.kind] ??= file;
  }
  return [...sets.values()];
}

const hasBoth = (files: SplitFiles | undefined): boolean =>
  files?.images !== undefined && files.labels !== undefined;
const hasAll = (files: SplitFiles | undefined): boolean => hasBoth(files) || files?.table !== undefined;

const isComplete = ({ splits }: FileSet): boolean =>
  hasAll(splits.train) && (hasAll(splits.test) || hasAll(splits.val));

/** Whether a set is for training only: some of its samples can be to test on. */
const isForTraining = ({ splits: { train, test, val } }: FileSet): boolean =>
  hasAll(train) && test === undefined && val === undefined;

/** Sorts sets in higher folders first, and IDX files before a table in the same folder. */
function compareSets(a: FileSet, b: FileSet): number {
  return a.depth - b.depth || Number(hasBoth(b.splits.train)) - Number(hasBoth(a.splits.train));
}

function pickFiles({ splits: { train = {}, test, val } }: FileSet): ChosenFiles {
  const pick = (files: SplitFiles): SplitFiles => {
    if (hasBoth(files) && files.images !== undefined && files.labels !== undefined) {
      return { images: files.images, labels: files.labels };
    }
    return files.table === undefined ? files : { table: files.table };
  };
  const tested = hasAll(test) || !hasAll(val) ? test : val;
  return { train: pick(train), test: tested === undefined ? null : pick(tested) };
}

/** Error that names the missing parts of the most complete set, or the files that the folder holds instead. */
function missingFilesError(
  files: readonly DataFile[],
  sets: readonly FileSet[],
  folder: string,
  option: string,
): DataError {
  const source = `${sanitizeForTerminal(folder)} (from ${option})`;
  const [best] = sets.toSorted((a, b) => listParts(b).length - listParts(a).length);
  if (best === undefined) {
    const images = files.filter(({ name }) => hasImageName(name)).length;
    return new DataError(
      images > files.length / 2 && /\.zip$/i.test(folder)
        ? `${source} holds ${images} images, which are read from folders only. Unpack it, and point ${option} at the folder.`
        : `${source} ${describeOtherFiles(files)}`,
    );
  }
  const present = listParts(best);
  const missing = ['train images', 'train labels', 'test images', 'test labels'].filter(
    (part) => !present.some(({ parts }) => parts.includes(part)),
  );
  const found = present.map(({ file }) => sanitizeForTerminal(file.name)).join(', ');
  const names = missing.map((part) => EXAMPLE_NAMES[part]).join(', ');
  return new DataError(
    `${source} lacks ${missing.join(' and ')}; found ${found}. Put ${names} beside them, bare or packed (names with test or val are read too).`,
  );
}

const EXAMPLE_NAMES: Readonly<Record<string, string>> = {
  'train images': 'train-images-idx3-ubyte',
  'train labels': 'train-labels-idx1-ubyte',
  'test images': 't10k-images-idx3-ubyte',
  'test labels': 't10k-labels-idx1-ubyte',
};

function listParts({ splits }: FileSet): { file: DataFile; parts: string[] }[] {
  const train = splits.train ?? {};
  const test = splits.test ?? splits.val ?? {};
  return Object.entries({ train, test }).flatMap(([split, { images, labels, table }]) => [
    ...(images === undefined ? [] : [{ file: images, parts: [`${split} images`] }]),
    ...(labels === undefined ? [] : [{ file: labels, parts: [`${split} labels`] }]),
    ...(table === undefined ? [] : [{ file: table, parts: [`${split} images`, `${split} labels`] }]),
  ]);
}

/** Sentences that list the other files in a folder, and the formats that gradcast reads. */
function describeOtherFiles(files: readonly DataFile[]): string {
  const supported =
    'gradcast reads folders of images, one folder a class (cats/1.jpg, dogs/1.jpg), IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, bare or packed) and CSV files of a label and pixels (train.csv, test.csv)';
  if (files.length === 0) return `holds no files. ${supported}.`;
  const counts = new Map<string, number>();
  for (const { name } of files) {
    const [extension = ''] = /\.[a-z0-9]{1,8}$/i.exec(basename(name)) ?? [];
    const key = extension.toLowerCase();
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const listed = [...counts.entries()]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, MAX_LISTED)
    .map(([extension, count]) => `${count} ${extension === '' ? 'without an extension' : extension}`);
  return `holds no data set that gradcast finds by its names, only files of other kinds (${listed.join(', ')}). ${supported}; docs/own-data.md converts NumPy arrays.`;
}

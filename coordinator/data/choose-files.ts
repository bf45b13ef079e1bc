import { basename, join } from 'node:path';
import { DataError } from '../../shared/data/data-error.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { DataFile } from './data-file.ts';
import { parseRole, type FileRole, type SplitName } from './file-names.ts';

/** The files of a split: images and labels, or a table of both. The images may turn out to be a table under another name. */
export interface SplitFiles {
  readonly images?: DataFile;
  readonly labels?: DataFile;
  readonly table?: DataFile;
}

export interface ChosenFiles {
  readonly train: SplitFiles;
  /** Files named test or t10k; those named val where there are none. */
  readonly test: SplitFiles;
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

/** The most that a refusal lists of anything. */
const MAX_LISTED = 6;

/**
 * The files of the one data set in a folder. Where there are several, the one that lies highest is taken, and IDX files
 * before a table. Of several files for one part: whole before unreadable, first downloads before second ones, bare before
 * packed.
 *
 * @param folder an absolute path
 * @param said how the person named the folder, for example '--data'
 * @throws DataError if a part is missing, or if two sets are equally good
 */
export function chooseFiles(files: readonly DataFile[], folder: string, said: string): ChosenFiles {
  const candidates = files
    .flatMap((file): Candidate[] => {
      const role = parseRole(file.name);
      if (role === null) return [];
      return [{ file, role: file.isTable === true ? { ...role, kind: 'table' } : role }];
    })
    .toSorted(compareCandidates);
  const sets = groupIntoSets(candidates, ({ set }) => set);
  const whole = sets.filter(isComplete);
  // Names of train and test files may differ in more than these words, where there is only one of each kind.
  const [best, ...others] =
    whole.length > 0 ? whole.toSorted(compareSets) : groupIntoSets(candidates, () => '').filter(isComplete);
  if (best === undefined) throw missingFilesError(files, sets, folder, said);
  const rivals = others.filter((other) => compareSets(best, other) === 0);
  if (rivals.length === 0) return pickFiles(best);
  const names = [best, ...rivals].slice(0, MAX_LISTED).map(({ name }) => sanitizeForTerminal(name));
  throw new DataError(
    `${sanitizeForTerminal(folder)} (from ${said}) holds several data sets: ${names.join(', ')}. ` +
      `Choose one, for example ${said} ${sanitizeForTerminal(join(folder, best.name))}.`,
  );
}

function compareCandidates(a: Candidate, b: Candidate): number {
  const keys = ({ file, role }: Candidate): number[] => [
    file.problem === undefined ? 0 : 1,
    role.isCopy ? 1 : 0,
    role.depth,
    role.packing,
  ];
  const [left, right] = [keys(a), keys(b)];
  const differs = left.findIndex((value, index) => value !== right[index]);
  if (differs >= 0) return (left[differs] ?? 0) - (right[differs] ?? 0);
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

/** The higher one first; of two beside each other, the one of IDX files. */
function compareSets(a: FileSet, b: FileSet): number {
  return a.depth - b.depth || Number(hasBoth(b.splits.train)) - Number(hasBoth(a.splits.train));
}

function pickFiles({ splits: { train = {}, test = {}, val = {} } }: FileSet): ChosenFiles {
  const pick = (files: SplitFiles): SplitFiles => {
    if (hasBoth(files) && files.images !== undefined && files.labels !== undefined) {
      return { images: files.images, labels: files.labels };
    }
    return files.table === undefined ? files : { table: files.table };
  };
  return { train: pick(train), test: pick(hasAll(test) || !hasAll(val) ? test : val) };
}

/** @returns an error that says what is missing of the most complete set, or what the folder holds instead */
function missingFilesError(
  files: readonly DataFile[],
  sets: readonly FileSet[],
  folder: string,
  said: string,
): DataError {
  const where = `${sanitizeForTerminal(folder)} (from ${said})`;
  const [best] = sets.toSorted((a, b) => listParts(b).length - listParts(a).length);
  if (best === undefined) return new DataError(`${where} ${describeOtherFiles(files)}`);
  const present = listParts(best);
  const absent = ['train images', 'train labels', 'test images', 'test labels'].filter(
    (part) => !present.some(({ parts }) => parts.includes(part)),
  );
  const found = present.map(({ file }) => sanitizeForTerminal(file.name)).join(', ');
  const names = absent.map((part) => EXAMPLE_NAMES[part]).join(', ');
  return new DataError(
    `${where} lacks ${absent.join(' and ')}; found ${found}. Put ${names} beside them, bare or packed (names with test or val are read too).`,
  );
}

const EXAMPLE_NAMES: Readonly<Record<string, string>> = {
  'train images': 'train-images-idx3-ubyte',
  'train labels': 'train-labels-idx1-ubyte',
  'test images': 't10k-images-idx3-ubyte',
  'test labels': 't10k-labels-idx1-ubyte',
};

function listParts({ splits }: FileSet): { file: DataFile; parts: string[] }[] {
  const [train, test] = [splits.train ?? {}, splits.test ?? splits.val ?? {}];
  return Object.entries({ train, test }).flatMap(([split, { images, labels, table }]) => [
    ...(images === undefined ? [] : [{ file: images, parts: [`${split} images`] }]),
    ...(labels === undefined ? [] : [{ file: labels, parts: [`${split} labels`] }]),
    ...(table === undefined ? [] : [{ file: table, parts: [`${split} images`, `${split} labels`] }]),
  ]);
}

/** Sentences that say which other files a folder holds, and which ones are read. */
function describeOtherFiles(files: readonly DataFile[]): string {
  const reads =
    'gradcast reads IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, bare or packed) and CSV files of a label and pixels (train.csv, test.csv)';
  if (files.length === 0) return `holds no files. ${reads}.`;
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
  return `holds no data set that gradcast finds by its names, only files of other kinds (${listed.join(', ')}). ${reads}; docs/own-data.md converts folders of images and NumPy arrays.`;
}

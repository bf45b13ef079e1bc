import { basename } from 'node:path';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';

export type SplitName = 'train' | 'test' | 'val';
export type FileKind = 'images' | 'labels' | 'table';

/** Part of a data set that a file holds, by its path. */
export interface FileRole {
  readonly split: SplitName;
  /** 'table': images and labels in one CSV file. */
  readonly kind: FileKind;
  /** Rest of the path, for example 'gzip/emnist-letters': files of one data set share it. */
  readonly set: string;
  /** Whether it is a second download, such as 'name (1)'. */
  readonly isCopy: boolean;
  /** Rank of its packing: 0 for a bare file, more for a packed one. */
  readonly packing: number;
  /** Number of folders above the file. */
  readonly depth: number;
}

const SPLITS: Readonly<Record<string, SplitName>> = {
  train: 'train',
  training: 'train',
  t10k: 'test',
  test: 'test',
  testing: 'test',
  val: 'val',
  valid: 'val',
  validation: 'val',
};
const KINDS: Readonly<Record<string, FileKind>> = {
  images: 'images',
  image: 'images',
  imgs: 'images',
  x: 'images',
  labels: 'labels',
  label: 'labels',
  targets: 'labels',
  y: 'labels',
};
const PACKED_EXTENSIONS = ['gz', 'gzip', 'zip', 'bz2', 'xz', 'zst', '7z', 'rar', 'tar', 'tgz'];
/** Words about the format of a file, which do not distinguish data sets. */
const FORMAT_WORD = /^(idx\d?|ubyte|byte|int|short|float|double|int\d+|uint8|float\d+|csv)$/;
/** Single images, programs and notes: no part of a data set, whatever the rest of their names says. */
const OTHER_FILE =
  /\.(png|jpe?g|bmp|gif|tiff?|webp|py|ipynb|js|ts|sh|r|m|json|ya?ml|toml|md|txt|html?|pdf|log|md5|sha\d+)$/;

/** Limit for names in an archive, which can have any length. */
const MAX_PATH_LENGTH = 1024;

/**
 * Part of a data set that a file holds, by its path below the data folder with '/' between folders; null if the path names
 * none. Upper and lower case are the same, and so are '-', '_' and '.'. Reads the names of MNIST, EMNIST, QMNIST,
 * Fashion-MNIST and KMNIST, a folder with the file's name around it (Kaggle), and the suffixes that browsers, wget and file
 * managers give to a second download.
 */
export function parseRole(path: string): FileRole | null {
  if (path.length > MAX_PATH_LENGTH) return null;
  const folders = path.split('/');
  const base = folders.pop() ?? '';
  const { stem, isCopy, packing } = stripSuffixes(base.toLowerCase());
  if (OTHER_FILE.test(stem)) return null;
  const own = parseWords(stem);
  let { split } = own;
  let kind: FileKind | null = own.kind ?? (stem.endsWith('.csv') ? 'table' : null);
  const set: string[] = [];
  for (const folder of folders.toReversed()) {
    const words = parseWords(stripSuffixes(folder.toLowerCase()).stem);
    if (words.split === null) {
      set.unshift(folder);
      continue;
    }
    split ??= words.split;
    kind ??= words.kind;
    if (words.rest !== '') set.unshift(words.rest);
  }
  if (split === null || kind === null) return null;
  if (own.rest !== '' && own.rest !== set.at(-1)) set.push(own.rest);
  return { split, kind, set: set.join('/'), isCopy, packing, depth: folders.length };
}

/**
 * Format of a file of a table, arrays or text by its name, whatever packs it; null for other names.
 * @example
 * ```ts
 * tableFormatOf('house-prices/train.csv.gz'); // 'csv'
 * ```
 */
export function tableFormatOf(path: string): TableFormat | null {
  const { stem } = stripSuffixes((path.split('/').pop() ?? '').toLowerCase());
  const extension = /\.([a-z]+)$/.exec(stem)?.[1] ?? '';
  return Object.hasOwn(TABLE_EXTENSIONS, extension) ? (TABLE_EXTENSIONS[extension] ?? null) : null;
}

export type TableFormat = 'csv' | 'tsv' | 'npy' | 'npz' | 'parquet' | 'text';
const TABLE_EXTENSIONS: Readonly<Record<string, TableFormat>> = {
  csv: 'csv',
  data: 'csv',
  tsv: 'tsv',
  tab: 'tsv',
  npy: 'npy',
  npz: 'npz',
  parquet: 'parquet',
  txt: 'text',
  text: 'text',
};

/** Split that the name of a file says, or else that of a folder around it; null if none does. */
export function splitNameOf(path: string): SplitName | null {
  for (const name of path.toLowerCase().split('/').toReversed()) {
    const { split } = parseWords(stripSuffixes(name).stem);
    if (split !== null) return split;
  }
  return null;
}

/** The name of a data set in a job is limited in length. */
const MAX_NAME_LENGTH = 150;
/** Names with a meaning of their own, which a folder's name must not take. */
const RESERVED_NAMES = ['mnist', 'drawn-digits'];

/** Name of a data set: that of its folder or file, without the extensions of a file. */
export function datasetName(path: string): string {
  const base = sanitizeForTerminal(basename(path));
  const isFile = tableFormatOf(base) !== null;
  const plain = (isFile ? stripSuffixes(base).stem.replace(/\.[a-z]+$/i, '') : base).slice(
    0,
    MAX_NAME_LENGTH,
  );
  return RESERVED_NAMES.includes(plain) || plain === '' ? `${plain} (own files)`.trim() : plain;
}

function stripSuffixes(name: string): { stem: string; isCopy: boolean; packing: number } {
  let stem = name;
  let isCopy = false;
  let packing = 0;
  for (;;) {
    const extension = PACKED_EXTENSIONS.find((candidate) => stem.endsWith(`.${candidate}`));
    // 'name (1)' of browsers, 'name - Copy' of file managers, 'name.gz.1' of wget.
    const copy = /^(.+?)(\s*\(\d{1,3}\)|[ _-]+copy|\.\d{1,2})$/.exec(stem);
    if (extension !== undefined) {
      stem = stem.slice(0, -extension.length - 1);
      packing += 1 + PACKED_EXTENSIONS.indexOf(extension);
    } else if (copy !== null) {
      stem = copy[1] ?? '';
      isCopy = true;
    } else {
      return { stem, isCopy, packing };
    }
  }
}

function parseWords(name: string): { split: SplitName | null; kind: FileKind | null; rest: string } {
  let split: SplitName | null = null;
  let kind: FileKind | null = null;
  const rest: string[] = [];
  for (const word of name.split(/[^a-z0-9]+/)) {
    const asSplit = Object.hasOwn(SPLITS, word) ? SPLITS[word] : undefined;
    const asKind = Object.hasOwn(KINDS, word) ? KINDS[word] : undefined;
    if (asSplit !== undefined && split === null) split = asSplit;
    else if (asKind !== undefined && kind === null) kind = asKind;
    else if (word !== '' && !FORMAT_WORD.test(word)) rest.push(word);
  }
  return { split, kind, rest: rest.join('-') };
}

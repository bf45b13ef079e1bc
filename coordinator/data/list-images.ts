import type { Dirent, Stats } from 'node:fs';
import { readdir, readlink, stat } from 'node:fs/promises';
import { sep } from 'node:path';
import { DataError, invalidFileError } from '../../shared/data/data-error.ts';
import { readError } from './data-file.ts';
import { hasImageName } from './images/image-type.ts';
import { joinRaw, openable, RAW_ENCODING, rawPath, readable, type RawPath } from './images/raw-path.ts';

/** Image files of one part of a data set. */
export interface ImageFiles {
  /** Absolute path of the data folder. */
  readonly root: RawPath;
  /** Below the data folder. */
  readonly paths: readonly RawPath[];
  /** Number of bytes, and time of the last change in ms. */
  readonly sizes: readonly number[];
  readonly times: readonly number[];
  /** Times in ms that the file system sets at every change of the file, also of its name or its time of the last change. */
  readonly statusTimes: readonly number[];
  /** Class of each file, in the order of classNames. */
  readonly labels: readonly number[];
}

export interface ImageFolder {
  readonly classNames: readonly string[];
  readonly train: ImageFiles;
  /** Null if the folder has no test part. */
  readonly test: ImageFiles | null;
  /** Lines about what was left out, or taken otherwise than the person might think. */
  readonly notes: readonly string[];
}

export interface ListImagesOptions {
  /** Option or variable that named the folder, for example '--data'. */
  readonly option: string;
  /** Called with the number of files so far. */
  readonly progress: (files: number) => void;
  readonly signal?: AbortSignal | undefined;
  /** Classes in the order of a model. @default by the names of the folders */
  readonly classNames?: readonly string[] | undefined;
}

/** Files whose sizes are asked for at once. */
const STATS_AT_ONCE = 256;
/** Folders of images, one in another: class, and what the class is sorted by. */
const MAX_DEPTH = 8;
const MAX_CLASSES = 50_000;
const MAX_LISTED = 5;
/** Folders around the folder that holds the classes, such as those of an archive. */
const MAX_WRAPPERS = 3;

const TRAIN_NAMES = ['train', 'training'];
/** In the order of preference: published figures are of test sets. */
const TEST_NAMES = ['test', 'testing', 'val', 'valid', 'validation'];

/** Files that a desktop or a tool writes into every folder. */
const isHidden = (name: string): boolean =>
  name.startsWith('.') || name === '__MACOSX' || /^(thumbs\.db|desktop\.ini)$/i.test(name);

/**
 * Lists folders of images, one folder a class: `class/file`, or `train/class/file` with `test/class/file` (or val, validation) beside it.
 * Files in deeper folders belong to the class above them. Classes are numbered by their names in the order of bytes, as Keras and
 * torchvision number them.
 *
 * @param folder absolute path
 * @param testFolder absolute path of the images to test on, with the same classes, if they lie elsewhere
 * @throws DataError if there are no such folders, or fewer than two classes, or if a file is empty
 * @throws the signal's reason once it is aborted
 */
export async function listImages(
  folder: string,
  testFolder: string | undefined,
  options: ListImagesOptions,
): Promise<ImageFolder> {
  const search = new Search(rawPath(folder), options);
  const other =
    testFolder === undefined ? null : new Search(rawPath(testFolder), { ...options, option: '--test-data' });
  const { train, test } = await listParts(search, options, other !== null);
  const testClasses = other === null ? test : await other.classes(await other.descend());
  const found = [...new Set([...train.keys(), ...(testClasses?.keys() ?? [])])].toSorted(compare);
  const { classNames = found } = options;
  const known = new Set(classNames);
  const unknown = found.find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw new DataError(
      `${readable(rawPath(folder))} has the class ${unknown}, which the model does not know; it knows ${listSome(classNames)}. Leave that folder out.`,
    );
  }
  if (train.size === 0) throw search.noImagesError();
  if (other !== null && testClasses?.size === 0) throw other.noImagesError();
  const [only, second] = classNames;
  if (second === undefined) {
    throw new DataError(
      `${readable(rawPath(folder))} (from ${options.option}) has images of one class only, ${only ?? ''}, so there is nothing to tell apart. Put the images of each class into a folder of its own.`,
    );
  }
  return {
    classNames,
    train: search.files(train, classNames),
    test:
      testClasses === null || testClasses.size === 0
        ? null
        : (other ?? search).files(testClasses, classNames),
    notes: [...search.notes(), ...(other?.notes() ?? [])],
  };
}

/** Classes of the two parts, if the folder has two. @param ignoreTest whether the test samples are elsewhere */
async function listParts(
  search: Search,
  { option }: ListImagesOptions,
  ignoreTest: boolean,
): Promise<{ readonly train: Classes; readonly test: Classes | null }> {
  const top = await search.descend();
  const folders = await search.folders(top);
  const findFolder = (names: readonly string[]): string | undefined =>
    names.flatMap((name) => folders.filter((found) => found.toLowerCase() === name))[0];
  const train = findFolder(TRAIN_NAMES);
  const test = findFolder(TEST_NAMES);
  if (train === undefined) return { train: await search.classes(top), test: null };
  const path = joinRaw(top, train);
  if ((await search.folders(path)).length === 0) {
    // A class may have this name, unless it is one of the two parts.
    if (test === undefined) return { train: await search.classes(top), test: null };
    throw new DataError(
      `${search.pathOf(path)} (from ${option}) has no folders of classes. Put the images of each class into a folder of its own: ${readable(train)}/cats, ${readable(train)}/dogs.`,
    );
  }
  for (const found of folders) {
    if (found === train || (found === test && !ignoreTest)) continue;
    const parts = test === undefined || ignoreTest ? '' : `, ${readable(test)} to test on`;
    search.note(`Folder ${readable(found)} is not read: ${readable(train)} is read to train on${parts}.`);
  }
  return {
    train: await search.classes(path),
    test: test === undefined || ignoreTest ? null : await search.classes(joinRaw(top, test)),
  };
}

/**
 * Whether a folder seems to hold folders of images, by a look at a few names.
 * @param folder absolute path
 */
export async function looksLikeImageFolder(folder: string): Promise<boolean> {
  const look = async (path: string, depth: number): Promise<boolean> => {
    const entries = await readdir(path, { withFileTypes: true }).catch((): Dirent[] => []);
    const visible = entries.filter(({ name }) => !isHidden(name));
    const files = visible.filter((entry) => !entry.isDirectory()).slice(0, MAX_LOOKED_AT);
    const images = files.filter(({ name }) => hasImageName(name)).length;
    if (images > 0 && depth > 0) return images * 2 > files.length;
    if (depth === MAX_WRAPPERS + 1) return false;
    for (const entry of visible.filter((other) => !other.isFile()).slice(0, MAX_LOOKED_AT_FOLDERS)) {
      if (await look(`${path}${sep}${entry.name}`, depth + 1)) return true;
    }
    return false;
  };
  return look(folder, 0);
}

const MAX_LOOKED_AT = 1000;
const MAX_LOOKED_AT_FOLDERS = 4;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Files of a class, by its name. */
type Classes = Map<string, MutableFiles>;
interface MutableFiles {
  readonly paths: RawPath[];
  readonly sizes: number[];
  readonly times: number[];
  readonly statusTimes: number[];
}

class Search {
  readonly #root: RawPath;
  readonly #options: ListImagesOptions;
  readonly #notes: string[] = [];
  /** Extensions of files that are no images, with their number. */
  readonly #ignored = new Map<string, number>();
  readonly #brokenLinks: string[] = [];
  readonly #empty: RawPath[] = [];
  readonly #emptyFolders: string[] = [];
  #files = 0;

  constructor(root: RawPath, options: ListImagesOptions) {
    this.#root = root;
    this.#options = options;
  }

  note(line: string): void {
    this.#notes.push(line);
  }

  /** Whole path for messages. @param path below the data folder */
  pathOf(path: RawPath): string {
    return readable(this.#whole(path));
  }

  /** Follows folders that hold nothing but one folder of folders. @returns path below the data folder */
  async descend(): Promise<RawPath> {
    let path = '' as RawPath;
    for (let wrapper = 0; wrapper < MAX_WRAPPERS; wrapper++) {
      const [only, ...others] = await this.folders(path);
      if (only === undefined || others.length > 0 || TRAIN_NAMES.includes(only.toLowerCase())) return path;
      const inner = joinRaw(path, only);
      if ((await this.folders(inner)).length === 0) return path;
      this.note(`The classes are read from ${this.pathOf(inner)}.`);
      path = inner;
    }
    return path;
  }

  /** Names of the folders in a folder, sorted; links to folders count. */
  async folders(path: RawPath): Promise<string[]> {
    const { folders } = await this.#list(path);
    return folders.toSorted(compare);
  }

  /** Files of each class in a folder. */
  async classes(path: RawPath): Promise<Classes> {
    const classes: Classes = new Map();
    const { names, folders } = await this.#list(path);
    const beside = names.filter((name) => hasImageName(name)).length;
    if (beside > 0 && folders.length > 0) {
      this.note(
        `${beside} ${beside === 1 ? 'image lies' : 'images lie'} beside the folders of classes, in ${this.pathOf(path)}: left out.`,
      );
    }
    for (const name of folders.toSorted(compare)) {
      const files: MutableFiles = { paths: [], sizes: [], times: [], statusTimes: [] };
      await this.#walk(joinRaw(path, name), files, new Set(), 1);
      if (files.paths.length === 0) this.#emptyFolders.push(this.pathOf(joinRaw(path, name)));
      else this.#addClass(classes, path, name, files);
      if (classes.size > MAX_CLASSES) {
        throw new DataError(
          `${this.pathOf(path)} (from ${this.#options.option}) has more than ${MAX_CLASSES} folders, and each would be a class. Point ${this.#options.option} at a folder with one folder a class.`,
        );
      }
    }
    return classes;
  }

  #addClass(classes: Classes, path: RawPath, name: string, files: MutableFiles): void {
    const className = readable(name);
    if (classes.has(className)) {
      throw new DataError(
        `${this.pathOf(path)} has two folders whose names both read ${className}, since one has characters that are not shown. Rename one of them.`,
      );
    }
    classes.set(className, files);
  }

  /** Files of all classes, class by class. @throws DataError if one is empty */
  files(classes: Classes, classNames: readonly string[]): ImageFiles {
    const [first, ...others] = this.#empty;
    if (first !== undefined) {
      const more = others.length > 0 ? `, the first of ${others.length + 1}` : '';
      throw invalidFileError(
        this.pathOf(first),
        'an image',
        `an empty file (0 bytes)${more}`,
        'Get the file again from where it came, or take it out of the folder.',
      );
    }
    const all = classNames.map((name) => classes.get(name));
    return {
      root: this.#root,
      paths: all.flatMap((files) => files?.paths ?? []),
      sizes: all.flatMap((files) => files?.sizes ?? []),
      times: all.flatMap((files) => files?.times ?? []),
      statusTimes: all.flatMap((files) => files?.statusTimes ?? []),
      labels: all.flatMap((files, label) => (files?.paths ?? []).map(() => label)),
    };
  }

  notes(): string[] {
    return [...this.#notes, ...this.#leftOut()];
  }

  noImagesError(): DataError {
    const found = this.#leftOut().map((line) => ` ${line}`);
    return new DataError(
      `${this.pathOf('' as RawPath)} (from ${this.#options.option}) has no folders of images; gradcast reads one folder a class, such as cats/1.jpg and dogs/1.jpg.${found.join('')}`,
    );
  }

  /** Lines about files and folders that are not read. */
  #leftOut(): string[] {
    const lines: string[] = [];
    const ignored = [...this.#ignored.values()].reduce((sum, count) => sum + count, 0);
    if (ignored > 0) {
      const kinds = [...this.#ignored.entries()].toSorted(([, a], [, b]) => b - a).slice(0, MAX_LISTED);
      const listed = kinds.map(([extension, count]) => `${count} ${extension}`).join(', ');
      lines.push(
        `${ignored} ${ignored === 1 ? 'file that is' : 'files that are'} no image by name: left out (${listed}).`,
      );
    }
    if (this.#brokenLinks.length > 0)
      lines.push(`Links to files that do not exist: ${listSome(this.#brokenLinks)}. They are left out.`);
    if (this.#emptyFolders.length > 0)
      lines.push(`Folders without images: ${listSome(this.#emptyFolders)}. They are left out.`);
    return lines;
  }

  /** Adds all images below a folder. @param above folders around it, to notice links that lead in a circle */
  async #walk(path: RawPath, files: MutableFiles, above: ReadonlySet<string>, depth: number): Promise<void> {
    this.#options.signal?.throwIfAborted();
    const { dev, ino } = await stat(openable(this.#whole(path)));
    const identity = `${dev}:${ino}`;
    if (depth > MAX_DEPTH || (above.has(identity) && ino !== 0)) {
      this.note(
        `Folder ${this.pathOf(path)} is not read: ${above.has(identity) ? 'it is a link to a folder around it' : `it lies ${depth} folders deep`}.`,
      );
      return;
    }
    const { names, folders } = await this.#list(path);
    const images = names.filter((name) => hasImageName(name)).toSorted(compare);
    for (const name of names) if (!hasImageName(name)) this.#countIgnored(name);
    for (let from = 0; from < images.length; from += STATS_AT_ONCE) {
      this.#options.signal?.throwIfAborted();
      const paths = images.slice(from, from + STATS_AT_ONCE).map((name) => joinRaw(path, name));
      const stats = await Promise.all(paths.map((file) => this.#stat(file)));
      for (const [i, found] of stats.entries()) {
        const file = paths[i] as RawPath;
        if (found === null || !found.isFile()) continue;
        if (found.size === 0) this.#empty.push(file);
        files.paths.push(file);
        files.sizes.push(found.size);
        files.times.push(found.mtimeMs);
        files.statusTimes.push(found.ctimeMs);
      }
      this.#files += paths.length;
      this.#options.progress(this.#files);
    }
    const around = new Set([...above, identity]);
    for (const name of folders.toSorted(compare))
      await this.#walk(joinRaw(path, name), files, around, depth + 1);
  }

  #whole(path: RawPath): RawPath {
    return path === '' ? this.#root : joinRaw(this.#root, path);
  }

  /** Names in a folder; links count as what they lead to. @throws DataError if the folder cannot be read */
  async #list(path: RawPath): Promise<{ readonly names: string[]; readonly folders: string[] }> {
    let entries: Dirent[];
    try {
      entries = await readdir(openable(this.#whole(path)), { withFileTypes: true, encoding: RAW_ENCODING });
    } catch (error) {
      throw readError(this.pathOf(path), error);
    }
    const names: string[] = [];
    const folders: string[] = [];
    for (const entry of entries) {
      const { name } = entry;
      if (isHidden(name)) continue;
      if (entry.isDirectory()) folders.push(name);
      else if (entry.isFile() || hasImageName(name)) names.push(name);
      else if (entry.isSymbolicLink() && (await this.#stat(joinRaw(path, name)))?.isDirectory() === true)
        folders.push(name);
      else this.#countIgnored(name);
    }
    return { names, folders };
  }

  /** @returns null for a broken link, which is noted */
  async #stat(path: RawPath): Promise<Stats | null> {
    const whole = openable(this.#whole(path));
    try {
      return await stat(whole);
    } catch (error) {
      const target = await readlink(whole).catch(() => null);
      if (target === null) throw readError(this.pathOf(path), error);
      this.#brokenLinks.push(this.pathOf(path));
      return null;
    }
  }

  #countIgnored(name: string): void {
    const [extension = 'without an extension'] = /\.[a-z0-9]{1,8}$/i.exec(name) ?? [];
    const key = extension.toLowerCase();
    this.#ignored.set(key, (this.#ignored.get(key) ?? 0) + 1);
  }
}

function listSome(paths: readonly string[]): string {
  const listed = [...new Set(paths)];
  const more = listed.length > MAX_LISTED ? ` and ${listed.length - MAX_LISTED} more` : '';
  return `${listed.slice(0, MAX_LISTED).join(', ')}${more}`;
}

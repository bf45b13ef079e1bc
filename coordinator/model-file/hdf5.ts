import type { File, h5wasm } from 'h5wasm';
import { sizeOf } from '../../shared/model/layout.ts';

/** Tensor of an HDF5 file. */
export interface Hdf5Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/**
 * Contents of an HDF5 file. Only named paths are looked up, and the tree is never walked, so that links in circles have no effect.
 */
export interface Hdf5Reader {
  hasGroup(path: string): boolean;
  /** Strings of an attribute of a group; null if it does not exist. @throws FileProblem if it has no strings */
  strings(group: string, name: string): readonly string[] | null;
  /** Tensor of float32; null if it does not exist. @throws FileProblem if it has another type or is packed */
  tensor(path: string): Hdf5Tensor | null;
  /** Whole number of a dataset without axes; null if it does not exist or is another one. */
  integer(path: string): number | null;
}

/** Contents of an HDF5 file to write. */
export interface Hdf5Contents {
  /** Groups without tensors; those of tensors are created too. */
  readonly groups: readonly string[];
  readonly tensors: ReadonlyMap<string, Hdf5Tensor>;
}

/** Class of whole numbers in HDF5. */
const INTEGER = 0;
/** Class of floating-point numbers in HDF5. */
const FLOAT = 1;
/** File descriptor of the library's messages. */
const STDERR = 2;
/** Class of strings in HDF5. */
const STRING = 3;

type Library = typeof h5wasm;

/** Reason why a file cannot be used, as a part of a sentence. Other errors come from the library, and mean that the file is damaged. */
export class FileProblem extends Error {
  override readonly name = 'FileProblem';
}

/**
 * Opens an HDF5 file in memory. The library works in a file system of its own in memory, so that links in the file lead to no file
 * of this machine.
 * @throws FileProblem if it cannot be opened
 */
export async function openHdf5(bytes: Uint8Array): Promise<Hdf5Reader> {
  const { library, fs } = await loadLibrary();
  fs.writeFile('/read.h5', bytes);
  const file = new library.File('/read.h5', 'r');
  if (file.file_id <= 0n) throw new FileProblem('it is damaged or cut short');
  return createReader(library, file, bytes.length);
}

/** Bytes of an HDF5 file. */
export async function writeHdf5({ groups, tensors }: Hdf5Contents): Promise<Uint8Array> {
  const { library, fs } = await loadLibrary();
  const path = '/written.h5';
  const file = new library.File(path, 'w');
  try {
    const created = new Set<string>();
    const createGroup = (group: string): void => {
      if (group === '' || created.has(group)) return;
      createGroup(group.slice(0, Math.max(0, group.lastIndexOf('/'))));
      created.add(group);
      file.create_group(group);
    };
    groups.forEach(createGroup);
    for (const [name, { shape, values }] of tensors) {
      createGroup(name.slice(0, Math.max(0, name.lastIndexOf('/'))));
      file.create_dataset({ name, data: values, shape: [...shape], dtype: '<f' });
    }
  } finally {
    file.close();
  }
  const bytes = fs.readFile(path);
  fs.unlink(path);
  return bytes;
}

/** Loads the library of several megabytes, which only runs with such files need. */
async function loadLibrary() {
  const { default: library } = await import('h5wasm');
  const { FS: fs } = await library.ready;
  // The library prints pages about every path that does not exist.
  const { getStream } = fs as unknown as {
    readonly getStream: (descriptor: number) => { readonly tty: { ops: { put_char: () => void } } };
  };
  const { tty } = getStream(STDERR);
  tty.ops = { ...tty.ops, put_char: () => undefined };
  return { library, fs };
}

function createReader(library: Library, file: File, fileBytes: number): Hdf5Reader {
  let readBytes = 0;
  return {
    hasGroup: (path) => file.get(path) instanceof library.Group,
    strings(path, name) {
      const group = file.get(path);
      if (!(group instanceof library.Group)) return null;
      const { attrs } = group;
      const attribute = Object.hasOwn(attrs, name) ? attrs[name] : undefined;
      if (attribute === undefined) return null;
      const { type, size, total_size: count } = attribute.metadata;
      if (count === 0) return [];
      if (type !== STRING) throw new FileProblem(`its attribute ${name} is not text`);
      // Strings of any length have their pointers in the attribute.
      if (!(count * size <= 2 * fileBytes))
        throw new FileProblem(`its attribute ${name} is larger than the file`);
      const { value } = attribute;
      const strings: unknown[] = Array.isArray(value) ? value : [value];
      if (strings.every((text) => typeof text === 'string')) return strings;
      throw new FileProblem(`its attribute ${name} is not text`);
    },
    integer(path) {
      const dataset = file.get(path);
      if (!(dataset instanceof library.Dataset)) return null;
      const { type, shape, virtual_sources: sources } = dataset.metadata;
      if (type !== INTEGER || shape === null || shape.length > 0 || sources !== undefined) return null;
      const value = Number(dataset.value);
      return Number.isSafeInteger(value) ? value : null;
    },
    tensor(path) {
      const dataset = file.get(path);
      if (dataset === null) return null;
      if (!(dataset instanceof library.Dataset)) throw new FileProblem(`${path} is not a tensor`);
      const { type, size, littleEndian, shape, virtual_sources: sources } = dataset.metadata;
      if (type !== FLOAT || size !== 4 || !littleEndian || shape === null) {
        throw new FileProblem(`${path} is not of the type float32`);
      }
      if (dataset.filters.length > 0 || sources !== undefined) {
        throw new FileProblem(`${path} is compressed or stored elsewhere, which Keras does not do`);
      }
      const count = sizeOf(shape);
      readBytes += 4 * count;
      // Storage that was never written takes no bytes in a file, whatever the shape says.
      if (!(readBytes <= fileBytes)) throw new FileProblem(`its tensors are larger than the file`);
      const { value } = dataset;
      const values = typeof value === 'number' ? Float32Array.of(value) : value;
      if (values instanceof Float32Array && values.length === count) return { shape, values };
      throw new FileProblem(`${path} is not of the type float32`);
    },
  };
}

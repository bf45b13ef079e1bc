import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { invalidFileError, DataError } from '../../shared/data/data-error.ts';
import { bunzip2 } from './bunzip2.ts';
import type { Chunks, DataFile } from './data-file.ts';
import { parseRole } from './file-names.ts';
import { HEAD_BYTES, isPacked, detectContent, WRITE_IDX, type Unpacked } from './detect-content.ts';
import { zipInMemory } from './zip-entries.ts';

/** Real files are packed at most twice. A file with more layers than this is a mistake or an attack. */
const MAX_LAYERS = 3;
/** Archives in archives and bzip2 files are held in memory, packed. Larger ones have to be unpacked by hand. */
const MAX_PACKED_BYTES = 2 ** 30;

/** Innermost contents of a file, with all packing removed. */
export interface Contents {
  readonly content: Unpacked;
  /** First HEAD_BYTES, or all bytes of a shorter file. */
  readonly head: Uint8Array;
  /** All bytes, unpacked as they are read. */
  readonly chunks: Chunks;
  /** Whether the file was packed. */
  readonly isPacked: boolean;
  /** Size on disk, packed or not; undefined if unknown. */
  readonly storedBytes: number | undefined;
  /** Closes the file if it is not read to its end. */
  readonly close: () => Promise<void>;
}

/**
 * Opens a file and unpacks gzip, bzip2 and zip, in any order. Packing is detected from the contents and not from the name:
 * some browsers unpack a download and keep '.gz'.
 *
 * @throws DataError if the file cannot be read, or is packed and damaged
 */
export async function openContents(file: DataFile): Promise<Contents> {
  let { head, chunks, close } = await peek(file.open());
  for (let layer = 0; ; layer++) {
    const content = detectContent(head);
    if (!isPacked(content)) {
      return { content, head, chunks, isPacked: layer > 0, storedBytes: file.bytes, close };
    }
    if (layer === MAX_LAYERS) {
      await close();
      throw invalidFileError(file.path, `a file packed at most ${MAX_LAYERS} times`, 'one more layer');
    }
    const unpacked =
      content.kind === 'gzip'
        ? gunzip(chunks, file)
        : content.kind === 'bzip2'
          ? bunzip2(await readAll(chunks, file), file.path)
          : await unzip(await readAll(chunks, file), file);
    ({ head, chunks, close } = await peek(unpacked));
  }
}

/** Reads the first bytes of a source. @returns these, and all bytes from the first on */
async function peek(source: Chunks): Promise<Pick<Contents, 'head' | 'chunks' | 'close'>> {
  const iterator = source[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let length = 0;
  while (length < HEAD_BYTES) {
    const next = await iterator.next();
    if (next.done === true) break;
    first.push(next.value);
    length += next.value.length;
  }
  async function* all(): Chunks {
    try {
      yield* first;
      for (;;) {
        const next = await iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return {
    head: Buffer.concat(first).subarray(0, HEAD_BYTES),
    chunks: all(),
    // Not through all(): a generator that has not started ends without its finally.
    close: async () => {
      await iterator.return?.();
    },
  };
}

async function* gunzip(packed: Chunks, { path }: DataFile): Chunks {
  let packedBytes = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of packed) {
      packedBytes += chunk.length;
      yield chunk;
    }
  }
  const input = counted();
  const unpacker = createGunzip();
  // An error on either side ends both; it is thrown to the reader of the output.
  const feeding = pipeline(Readable.from(input), unpacker).then(
    () => null,
    (error: unknown) => error,
  );
  try {
    yield* unpacker as AsyncIterable<Buffer>;
  } catch (error) {
    const cause = (await feeding) ?? error;
    if (cause instanceof DataError) throw cause;
    const isCut = (cause as NodeJS.ErrnoException).code === 'Z_BUF_ERROR';
    throw invalidFileError(
      path,
      'a whole gzip stream',
      isCut ? `one that is cut short: it ends after ${packedBytes} bytes` : 'one that is damaged',
    );
  } finally {
    unpacker.destroy();
    await feeding;
    await input.return(undefined);
  }
}

async function unzip(packed: Uint8Array, file: DataFile): Promise<Chunks> {
  const entries = await zipInMemory(packed, file.path);
  const wanted = parseRole(file.name);
  const fitting = entries.filter(({ name }) => {
    const role = parseRole(name);
    return role !== null && role.split === wanted?.split && role.kind === wanted.kind;
  });
  const [entry, another] = entries.length === 1 ? entries : fitting;
  if (entry !== undefined && another === undefined) return entry.open();
  throw entries.some(({ name }) => name.endsWith('.npy'))
    ? invalidFileError(file.path, 'IDX or CSV data', `${entries.length} NumPy arrays (.npz)`, `${WRITE_IDX}.`)
    : invalidFileError(
        file.path,
        'a data file',
        `a zip archive of ${entries.length} files`,
        'Unpack it into the data folder.',
      );
}

async function readAll(chunks: Chunks, { path }: DataFile): Promise<Uint8Array> {
  const read: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    read.push(chunk);
    length += chunk.length;
    if (length > MAX_PACKED_BYTES) {
      throw invalidFileError(
        path,
        `at most ${MAX_PACKED_BYTES} packed bytes`,
        'more',
        'Unpack the file first.',
      );
    }
  }
  return Buffer.concat(read);
}

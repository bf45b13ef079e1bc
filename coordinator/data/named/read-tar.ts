import { DataError, invalidFileError } from '../../../shared/data/data-error.ts';

/** Blocks of headers and contents. */
const BLOCK_BYTES = 512;
/** Type of a plain file: '0', or a zero byte in old archives. */
const FILE_TYPES = ['0', '\0'];

/**
 * Reads some files of a tar archive (ustar). Names longer than 255 bytes, and what other kinds of entries say, are not read.
 *
 * @param wanted whether to read a file, by its name and size; its bytes are then held in memory
 * @returns contents by name
 * @throws DataError if the archive is damaged or ends too early
 */
export async function readTar(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  wanted: (name: string, bytes: number) => boolean,
): Promise<Map<string, Uint8Array>> {
  const input = new ByteReader(chunks);
  const files = new Map<string, Uint8Array>();
  for (;;) {
    const header = await input.read(BLOCK_BYTES);
    // Some programs leave out the two blocks of zeros at the end.
    if (header.length === 0 || header.every((byte) => byte === 0)) return files;
    if (header.length < BLOCK_BYTES || !isHeader(header)) {
      throw invalidFileError(path, 'a whole tar archive', 'one that is cut short or damaged');
    }
    const name = readName(header);
    const bytes = readOctal(header, 124, 12);
    const isWanted = FILE_TYPES.includes(String.fromCharCode(header[156] ?? 0)) && wanted(name, bytes);
    const length = isWanted ? await readInto(files, name, bytes, input) : await input.skip(bytes);
    if (length < bytes) {
      throw new DataError(
        `${path}: expected ${bytes} bytes of ${name}, found ${length}: the archive is cut short. Get it again from where it came.`,
      );
    }
    await input.skip((BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES);
  }
}

async function readInto(
  files: Map<string, Uint8Array>,
  name: string,
  bytes: number,
  input: ByteReader,
): Promise<number> {
  const contents = await input.read(bytes);
  files.set(name, contents);
  return contents.length;
}

/** Whether a block has the checksum of a header: the sum of its bytes, with spaces in place of the sum. */
function isHeader(block: Uint8Array): boolean {
  const sum = block.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
  return readOctal(block, 148, 8) === sum;
}

function readName(header: Uint8Array): string {
  const name = readText(header, 0, 100);
  const isUstar = readText(header, 257, 5) === 'ustar';
  const prefix = isUstar ? readText(header, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

const readText = (block: Uint8Array, at: number, length: number): string =>
  Buffer.from(block.subarray(at, at + length))
    .toString('utf8')
    .replace(/\0[^]*/, '');

/** A number in octal digits; NaN, which equals no sum and no size, if there are others. */
function readOctal(block: Uint8Array, at: number, length: number): number {
  const digits = readText(block, at, length).trim();
  return /^[0-7]+$/.test(digits) ? parseInt(digits, 8) : NaN;
}

/** Reads exact numbers of bytes from chunks of any size. */
class ByteReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#iterator = chunks[Symbol.asyncIterator]();
  }

  /** @returns fewer bytes at the end of the input. Memory is taken as bytes arrive */
  async read(bytes: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    await this.#consume(bytes, (part) => parts.push(part));
    return Buffer.concat(parts);
  }

  /** @returns number of bytes that were skipped */
  async skip(bytes: number): Promise<number> {
    return this.#consume(bytes, () => undefined);
  }

  async #consume(bytes: number, use: (part: Uint8Array) => void): Promise<number> {
    let missing = bytes;
    while (missing > 0) {
      if (this.#rest.length === 0) {
        const next = await this.#iterator.next();
        if (next.done === true) break;
        this.#rest = next.value;
      }
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      missing -= part.length;
      use(part);
    }
    return bytes - missing;
  }
}

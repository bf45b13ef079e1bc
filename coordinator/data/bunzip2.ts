import { invalidFileError, DataError } from '../../shared/data/data-error.ts';
import type { Chunks } from './data-file.ts';

/** Ten times MNIST's largest file. The decoder is synchronous, so all of its output is held in memory. */
const MAX_BYTES = 2 ** 29;
const BLOCK_BYTES = 2 ** 20;

/**
 * Unpacks bzip2, including several streams in one file, as parallel packers write them.
 *
 * @throws DataError while iterating, if the file is damaged or unpacks to more than MAX_BYTES
 */
export async function* bunzip2(packed: Uint8Array, path: string): Chunks {
  const { default: bzip } = await import('seek-bzip');
  const output = new Output(path);
  try {
    bzip.decode(createInput(packed, path), output, true);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw invalidFileError(path, 'a whole bzip2 stream', 'one that is damaged');
  }
  yield* output.blocks();
}

/** Input that throws at its end: the decoder would read zeros beyond it. */
function createInput(packed: Uint8Array, path: string) {
  let at = 0;
  const readByte = (): number => {
    const byte = packed[at++];
    if (byte !== undefined) return byte;
    const found = `one that is cut short: it ends after ${packed.length} bytes`;
    throw invalidFileError(path, 'a whole bzip2 stream', found);
  };
  return {
    readByte,
    read(buffer: Uint8Array, offset: number, length: number): number {
      for (let i = 0; i < length; i++) buffer[offset + i] = readByte();
      return length;
    },
    eof: () => at >= packed.length,
  };
}

class Output {
  private readonly full: Uint8Array[] = [];
  private block = new Uint8Array(BLOCK_BYTES);
  private used = 0;
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  writeByte(byte: number): void {
    if (this.used === BLOCK_BYTES) {
      if ((this.full.length + 1) * BLOCK_BYTES >= MAX_BYTES) {
        const remedy = 'Unpack it first: bunzip2 FILE.';
        throw invalidFileError(this.path, `at most ${MAX_BYTES} bytes in a bzip2 file`, 'more', remedy);
      }
      this.full.push(this.block);
      this.block = new Uint8Array(BLOCK_BYTES);
      this.used = 0;
    }
    this.block[this.used++] = byte;
  }

  blocks(): Uint8Array[] {
    return [...this.full, this.block.subarray(0, this.used)];
  }
}

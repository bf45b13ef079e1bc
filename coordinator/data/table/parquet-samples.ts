import { createHash } from 'node:crypto';
import type { LazySplit, Split } from '../../../shared/data/dataset.ts';
import type { Preprocessing } from '../../../shared/data/preprocessing.ts';
import { pickSamples } from '../../../shared/data/shard.ts';
import type { TensorSpec, TensorValues } from '../../../shared/model/tensors.ts';
import { SampleCache } from '../images/sample-cache.ts';
import { shown } from './column-builder.ts';
import type { Block, ParquetFile } from './parquet-file.ts';

export interface SplitOptions {
  /** Samples that need more bytes are decoded when they are needed. @default 1 GiB */
  readonly maxBytes?: number | undefined;
  /** Folder for decoded samples that memory has no room for. @default none: they are decoded in every epoch */
  readonly cacheFolder?: string | undefined;
  /** See SampleCacheOptions; 0 for no cache. */
  readonly maxCacheBytes?: number | undefined;
  readonly progress: (done: number, total: number) => void;
  readonly warn: (line: string) => void;
}

/** Converts values of a column to samples. */
export interface SampleReader {
  readonly spec: TensorSpec;
  /** Elements of a sample. */
  readonly size: number;
  readonly preprocessing?: Preprocessing;
  readonly create: (samples: number) => TensorValues;
  /** Whether a value takes longer to convert than to read. */
  readonly isSlow: boolean;
  /** @param where for errors */
  readonly convert: (value: unknown, where: string) => Promise<ArrayLike<number>>;
}

/** Column of samples. */
export interface SampleSource {
  readonly files: readonly ParquetFile[];
  readonly column: string;
  readonly reader: SampleReader;
}

/** Samples of a data set. */
export interface SamplePart {
  /** Numbers of their rows, counted over all files. */
  readonly rows: Uint32Array;
  readonly targets: readonly TensorValues[];
  readonly hasClass: boolean;
}

const MAX_BYTES = 2 ** 30;
/** Undecoded values that are kept, because other samples of the same block will be asked for. */
const MAX_KEPT_BYTES = 2 ** 28;
const DECODES_AT_ONCE = 8;
/** Raised whenever the same file would be decoded to other samples. */
const DECODER_VERSION = 1;

/** Samples in memory, or read when they are needed if they do not fit into it. @throws DataError */
export async function makeSplit(
  source: SampleSource,
  part: SamplePart,
  { maxBytes = MAX_BYTES, progress, ...options }: SplitOptions,
): Promise<Split> {
  const { rows, targets } = part;
  const { reader } = source;
  const count = rows.length;
  if (count * reader.create(1).byteLength > maxBytes) return lazySplit(source, part, options);
  const values = reader.create(count);
  const places = new Map(Array.from(rows, (row, place) => [row, place]));
  let done = 0;
  for await (const block of locateBlocks(source)) {
    const wanted = rowsOf(block).filter((row) => places.has(row));
    await convertRows(source, block, wanted, (row, sample) => {
      values.set(sample, (places.get(row) ?? 0) * reader.size);
    });
    done += wanted.length;
    if (wanted.length > 0) progress(done, count);
  }
  return { count, inputs: [values], targets };
}

async function lazySplit(
  source: SampleSource,
  { rows, targets, hasClass }: SamplePart,
  options: Omit<SplitOptions, 'progress' | 'maxBytes'>,
): Promise<LazySplit> {
  const { reader } = source;
  const samples = await LazySamples.open(source, options);
  const hash = createHash('sha256').update(samples.digest);
  for (const { buffer, byteOffset, byteLength } of [rows, ...targets])
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  const [labels] = targets;
  const count = rows.length;
  return {
    count,
    ...(hasClass && labels !== undefined && !(labels instanceof Float32Array) ? { labels } : {}),
    digest: hash.digest('hex'),
    async read(numbers) {
      const values = reader.create(numbers.length);
      await samples.copy(
        Uint32Array.from(numbers, (number) => rows[number] ?? 0),
        values,
      );
      return { ...pickSamples({ inputs: [], targets, count }, numbers), inputs: [values] };
    },
  };
}

/** Block with its place among the rows of all files. */
interface LocatedBlock extends Block {
  readonly path: string;
  /** Number of its first row, counted over all files. */
  readonly start: number;
}

/** Blocks of the column in all files, in order. Only the headers of their pages are read. */
async function* locateBlocks({ files, column }: SampleSource): AsyncGenerator<LocatedBlock> {
  let start = 0;
  for (const { file, rows, groups, blocks } of files) {
    for (const group of groups.keys()) {
      for (const block of await blocks(column, group)) {
        yield { ...block, path: file.path, start: start + block.from };
      }
    }
    start += rows;
  }
}

const rowsOf = ({ start, rows }: LocatedBlock): number[] => Array.from({ length: rows }, (_, i) => start + i);

/** Converts rows of a block, some at once. @param use receives the number of a row, and its sample */
async function convertRows(
  { column, reader }: SampleSource,
  block: LocatedBlock,
  rows: readonly number[],
  use: (row: number, sample: ArrayLike<number>) => Promise<void> | void,
  values?: readonly unknown[],
): Promise<void> {
  if (rows.length === 0) return;
  const read = values ?? (await block.read());
  for (let at = 0; at < rows.length; at += DECODES_AT_ONCE) {
    await Promise.all(
      rows.slice(at, at + DECODES_AT_ONCE).map(async (row) => {
        const place = row - block.start;
        const where = `${block.path}: row ${block.from + place + 1} of ${shown(column)}`;
        await use(row, await reader.convert(read[place], where));
      }),
    );
  }
}

/** Samples that are decoded when they are read for the first time, and kept on disk for the next epoch. */
class LazySamples {
  /** Identifies the samples. */
  readonly digest: string;
  readonly #source: SampleSource;
  readonly #blocks: readonly LocatedBlock[];
  readonly #cache: SampleCache | null;
  /** Values of blocks; the one that was used last is the last one. */
  readonly #kept = new Map<LocatedBlock, Promise<readonly unknown[]>>();

  private constructor(
    source: SampleSource,
    blocks: readonly LocatedBlock[],
    digest: string,
    cache: SampleCache | null,
  ) {
    this.#source = source;
    this.#blocks = blocks;
    this.digest = digest;
    this.#cache = cache;
  }

  static async open(
    source: SampleSource,
    { cacheFolder, maxCacheBytes, warn }: Pick<SplitOptions, 'cacheFolder' | 'maxCacheBytes' | 'warn'>,
  ): Promise<LazySamples> {
    const { files, column, reader } = source;
    const blocks: LocatedBlock[] = [];
    for await (const block of locateBlocks(source)) blocks.push(block);
    const hash = createHash('sha256').update(
      JSON.stringify([DECODER_VERSION, column, reader.preprocessing ?? reader.spec]),
    );
    for (const { file } of files) hash.update(`\0${file.path}\0${file.stamp}`);
    const digest = hash.digest('hex');
    // Parts of one file share a cache, since it has all rows of the file.
    const all = { key: digest.slice(0, 32), count: files.reduce((sum, { rows }) => sum + rows, 0) };
    const [cache = null] =
      cacheFolder === undefined || maxCacheBytes === 0
        ? []
        : await SampleCache.open([all], {
            folder: cacheFolder,
            sampleBytes: reader.create(1).byteLength,
            maxBytes: maxCacheBytes,
            warn,
          });
    return new LazySamples(source, blocks, digest, cache);
  }

  /** Copies the samples of rows in their order. */
  async copy(rows: Uint32Array, values: TensorValues): Promise<void> {
    const { size } = this.#source.reader;
    const missing = new Map<LocatedBlock, Map<number, number[]>>();
    await Promise.all(
      Array.from(rows, async (row, place) => {
        const target = values.subarray(place * size, (place + 1) * size);
        if ((await this.#cache?.read(row, bytesOf(target))) === true) return;
        const block = this.#blockOf(row);
        const places = missing.get(block) ?? new Map<number, number[]>();
        places.set(row, [...(places.get(row) ?? []), place]);
        missing.set(block, places);
      }),
    );
    for (const [block, places] of missing) {
      const read = await this.#read(block);
      const use = async (row: number, sample: ArrayLike<number>): Promise<void> => {
        for (const place of places.get(row) ?? []) values.set(sample, place * size);
        if (this.#cache === null) return;
        const kept = this.#source.reader.create(1);
        kept.set(sample);
        await this.#cache.write(row, bytesOf(kept));
      };
      const isWhole = this.#cache !== null && !this.#source.reader.isSlow;
      await convertRows(this.#source, block, isWhole ? rowsOf(block) : [...places.keys()], use, read);
    }
  }

  #blockOf(row: number): LocatedBlock {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#blocks[middle] as LocatedBlock).start <= row) low = middle;
      else high = middle - 1;
    }
    return this.#blocks[low] as LocatedBlock;
  }

  #read(block: LocatedBlock): Promise<readonly unknown[]> {
    const kept = this.#kept.get(block);
    this.#kept.delete(block);
    const values = kept ?? block.read();
    this.#kept.set(block, values);
    values.catch(() => this.#kept.delete(block));
    let total = [...this.#kept.keys()].reduce((sum, { bytes }) => sum + bytes, 0);
    for (const other of this.#kept.keys()) {
      if (total <= MAX_KEPT_BYTES) break;
      this.#kept.delete(other);
      total -= other.bytes;
    }
    return values;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: TensorValues): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

import { brotliCompressSync, gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { openParquet } from '../../../../coordinator/data/table/parquet-file.ts';
import { loadUnpack } from '../../../../coordinator/data/table/parquet-pages.ts';
import { inMemory } from '../../../../coordinator/data/table/random-access.ts';
import { readThriftStruct } from '../../../../coordinator/data/table/thrift.ts';
import { DataError } from '../../../../shared/data/data-error.ts';
import { refusalOf } from '../scratch-folder.ts';

const COUNT = 45;
const FILE = Buffer.from(
  parquetWriteBuffer({
    codec: 'UNCOMPRESSED',
    columnData: [
      {
        name: 'word',
        data: Array.from({ length: COUNT }, (_, i) => ['red', null, 'blue'][i % 3]),
        type: 'STRING',
      },
      // One run of missing values.
      { name: 'none', data: Array<null>(COUNT).fill(null), type: 'DOUBLE' },
      { name: 'x', data: Array.from({ length: COUNT }, (_, i) => (i % 4 === 0 ? null : i)), type: 'INT32' },
    ],
  }),
);

/** Reads all columns as they are stored. */
async function readAll(bytes: Uint8Array): Promise<Record<string, unknown[]>> {
  const { columns, groups, blocks } = await openParquet(inMemory(bytes, 'a.parquet', 'stamp'));
  const found: Record<string, unknown[]> = {};
  for (const { name } of columns) {
    const values: unknown[] = [];
    for (const group of groups.keys()) {
      for (const block of await blocks(name, group)) values.push(...(await block.read()));
    }
    found[name] = values;
  }
  return found;
}

describe('a Parquet file that claims more than it has', () => {
  it('is read if it does not', async () => {
    const { word, x } = await readAll(FILE);
    expect(word?.slice(0, 3).map((value) => value ?? null)).toEqual(['red', null, 'blue']);
    expect(x?.slice(0, 3).map((value) => value ?? null)).toEqual([null, 1, 2]);
    expect([word?.length, x?.length]).toEqual([COUNT, COUNT]);
  });

  it('is refused wherever a count is larger', async () => {
    // Numbers of rows and values are twice themselves in the file, and runs too.
    const places = [...FILE.keys()].filter((at) => FILE[at] === 2 * COUNT);
    expect(places.length).toBeGreaterThan(6);
    const outcomes = await Promise.all(
      places.map(async (at) => {
        const bytes = Buffer.from(FILE);
        bytes[at] = 2 * COUNT + 20;
        return refusalOf(
          readAll(bytes).then((columns) => {
            // A number that nothing depends on, such as the number of rows of the whole file.
            if (columns.word?.length === COUNT && columns.x?.length === COUNT)
              throw new DataError('unchanged');
          }),
        );
      }),
    );
    expect(
      new Set(
        outcomes.filter(
          (outcome) => !/^(?:unchanged$|a\.parquet: the Parquet file is damaged)/.test(outcome),
        ),
      ),
    ).toEqual(new Set());
    expect(outcomes.join('\n')).toContain('rows are stored in a group, and 55 are named');
    expect(outcomes.join('\n')).toContain('a run of 55 numbers, and 45 are left');
    expect(outcomes.join('\n')).toContain('45 values are stored, and 55 are named');
  });

  it('is refused, or read, but never ends the process, whatever byte is changed', async () => {
    for (let at = 4; at < FILE.length; at++) {
      const bytes = Buffer.from(FILE);
      bytes[at] = 0xff;
      await readAll(bytes).catch((error: unknown) => {
        if (!(error instanceof DataError)) throw error;
      });
    }
  });

  it('has no lists that are longer than its footer, nor structs without an end', () => {
    // Field 1 is a list of 2^28 - 1 numbers.
    const list = Uint8Array.of(0x19, 0xf5, 0xff, 0xff, 0xff, 0x7f, 0);
    expect(() => readThriftStruct(list, 0, 1000)).toThrow('a list of 268435455 elements');
    expect(() => readThriftStruct(new Uint8Array(100).fill(0x1c), 0, 1000)).toThrow(
      'more than 32 structs in each other',
    );
    const structs = Uint8Array.of(0x19, 0xfc, 100, ...new Uint8Array(101));
    expect(() => readThriftStruct(structs, 0, 50)).toThrow('more values than a table has');
    expect(readThriftStruct(structs, 0, 200).end).toBe(structs.length);
  });
});

describe('a page that unpacks to more than it claims', () => {
  /** A frame of Zstandard with blocks of 2 MiB of one byte each. */
  const zstdBomb = (blocks: number): Uint8Array =>
    Uint8Array.from([
      ...[0x28, 0xb5, 0x2f, 0xfd, 0, 0x58],
      ...Array.from({ length: blocks }, (_, i) => [
        (i === blocks - 1 ? 1 : 0) | 2 | 0xf8,
        0xff,
        0xff,
        7,
      ]).flat(),
    ]);
  const large = Buffer.alloc(2 ** 24);

  it.each([
    ['GZIP', gzipSync(large), 'Cannot create a Buffer larger than 1000 bytes'],
    ['BROTLI', brotliCompressSync(large), 'Cannot create a Buffer larger than 1000 bytes'],
  ])('is refused: %s', async (codec, packed, message) => {
    const unpack = await loadUnpack();
    expect(() => unpack(codec, packed, 1000)).toThrow(message);
    expect(unpack(codec, packed, large.length)).toHaveLength(large.length);
  });

  it('takes no more memory than it claims with Zstandard', async () => {
    const unpack = await loadUnpack();
    const before = process.memoryUsage().arrayBuffers;
    // 40 GB.
    expect(unpack('ZSTD', zstdBomb(20_000), 1000)).toHaveLength(1000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 24);
  });
});

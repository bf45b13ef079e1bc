import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readArray } from '../../../coordinator/data/read-array.ts';
import type { DataArray } from '../../../coordinator/data/data-array.ts';
import { memoryFile, type DataFile } from '../../../coordinator/data/data-file.ts';
import { toImages } from '../../../coordinator/data/to-images.ts';
import { toLabels } from '../../../coordinator/data/to-labels.ts';
import { DataError } from '../../../shared/data/data-error.ts';
import { idxBytes } from '../../support/idx-bytes.ts';
import { checkProperty } from '../../support/property.ts';

const read = (bytes: Uint8Array): Promise<DataArray> => readArray(memoryFile(bytes, 'some/train-images'));

async function errorMessageOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DataError);
  return (error as Error).message;
}

describe('an IDX file', () => {
  it('of gray images gives count, shape and bytes', async () => {
    const { count, sampleShape, images } = toImages(await read(idxBytes([5, 3, 2])));
    expect({ count, sampleShape }).toEqual({ count: 5, sampleShape: [3, 2, 1] });
    expect([...images]).toEqual(Array.from({ length: 30 }, (_, index) => index));
  });

  it('of color images keeps its channels', async () => {
    const { count, sampleShape, images } = toImages(await read(idxBytes([2, 3, 2, 3])));
    expect([count, ...sampleShape, images.length]).toEqual([2, 3, 2, 3, 36]);
  });

  it('of labels gives them', async () => {
    expect([...toLabels(await read(idxBytes([3], [7, 0, 9]))).labels]).toEqual([7, 0, 9]);
  });

  it('is read correctly from chunks of any size and alignment', async () => {
    const bytes = idxBytes([5, 3, 2]);
    for (const size of [1, 3, 7, 16, 100]) {
      const file: DataFile = {
        ...memoryFile(bytes, 'f'),
        open: () =>
          Readable.from(
            Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
              bytes.slice(i * size, (i + 1) * size),
            ),
          ) as AsyncIterable<Uint8Array>,
      };
      expect(toImages(await readArray(file)).images).toEqual(bytes.slice(16));
    }
  });

  const whole = idxBytes([5, 3, 2]);
  it.each([
    ['an empty file', new Uint8Array(0), 'IDX or CSV data', 'an empty file (0 bytes)'],
    ['a header cut short', whole.subarray(0, 9), '16 bytes', '9 bytes in all: it is cut short'],
    ['a body cut short', whole.subarray(0, 40), '46 bytes (its header says 5 x 3 x 2)', 'cut short by 6'],
    ['one byte too many', new Uint8Array([...whole, 0]), '46 bytes', '47 bytes: 1 too many'],
    ['no images', idxBytes([0, 3, 2]), 'at least one sample', '0 x 3 x 2'],
    ['a web page', new TextEncoder().encode('<!DOCTYPE html>'), 'IDX', 'a web page (HTML)'],
    ['an unknown type', Uint8Array.of(0, 0, 0x0a, 1, 0, 0, 0, 1, 7), 'IDX file', 'type 0x0a'],
    ['nine dimensions', idxBytes([1, 1, 1, 2, 2, 1, 1, 1, 1]), '1 to 8 dimensions', '9 of uint8'],
    [
      'sizes in the other byte order',
      swapped([256, 4, 3]),
      'expected sizes that are written big-endian',
      'found little-endian ones, which would say 65536 x 67108864 x 50331648. Write its header big-endian',
    ],
    [
      'a header in reverse order',
      Uint8Array.of(3, 8, 0, 0, 5, 0, 0, 0),
      'IDX file',
      'in reverse order, as if written little-endian. Write',
    ],
  ])('with %s is rejected with its path, expected and found', async (_, bytes, expected, found) => {
    const message = await errorMessageOf(read(bytes));
    expect(message).toContain('some/train-images: expected');
    expect(message).toContain(expected);
    expect(message).toContain(found);
    expect(message).not.toMatch(/delete/i);
  });

  it('that claims more than memory is rejected before memory is allocated and the file is read', async () => {
    let opened = 0;
    const header = idxHeader([2 ** 20, 2 ** 10, 4]);
    function* pieces(): Generator<Uint8Array> {
      yield header;
      opened++;
      yield new Uint8Array(2048);
      throw new Error('read further');
    }
    for (const bytes of [header.length, undefined]) {
      const file: DataFile = {
        ...memoryFile(header, 'f'),
        bytes,
        open: () => Readable.from(pieces()) as AsyncIterable<Uint8Array>,
      };
      const found = bytes === undefined ? '1048576 x 1024 x 4 of uint8 in its header' : 'cut short by';
      expect(await errorMessageOf(readArray(file))).toContain(found);
    }
    // Only the first bytes are read, to detect the format.
    expect(opened).toBe(2);
    expect(await errorMessageOf(read(idxHeader([2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1])))).toContain(
      '4294967295',
    );
  });

  it.each([
    ['not read at all', new TextEncoder().encode('<html></html>'.padEnd(3000))],
    ['not read to its end', new Uint8Array([...idxHeader([2, 3]), ...new Uint8Array(2 ** 22)])],
    ['packed', gzipSync(new Uint8Array([...idxHeader([2, 3]), ...new Uint8Array(2 ** 22)]), { level: 0 })],
    [
      'packed and not read',
      gzipSync(new TextEncoder().encode('<html></html>'.padEnd(2 ** 18)), { level: 0 }),
    ],
  ])('that is rejected is closed: %s', async (_, bytes) => {
    const state = { isOpen: false };
    function* pieces(): Generator<Uint8Array> {
      state.isOpen = true;
      try {
        for (let at = 0; at < bytes.length; at += 1024) yield bytes.subarray(at, at + 1024);
      } finally {
        state.isOpen = false;
      }
    }
    const open = () => Readable.from(pieces()) as AsyncIterable<Uint8Array>;
    await errorMessageOf(readArray({ name: 'f', path: 'f', open }));
    expect(state.isOpen).toBe(false);
  });

  it('of any bytes gives data or a DataError', async () => {
    const header = fc
      .tuple(
        fc.constantFrom(0x801, 0x803, 0x804, 0xc02, 0xd03),
        fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
      )
      .map(([magic, dimensions]) => {
        const bytes = idxBytes(dimensions);
        new DataView(bytes.buffer).setUint32(0, magic);
        return bytes;
      });
    const packed = fc.uint8Array({ maxLength: 40 }).map((bytes) => Uint8Array.of(0x1f, 0x8b, 8, 0, ...bytes));
    const bzip2 = fc
      .uint8Array({ maxLength: 40 })
      .map((bytes) => Uint8Array.from([...Buffer.from('BZh11AY&SY'), ...bytes]));
    const zip = fc
      .uint8Array({ maxLength: 60 })
      .map((bytes) => Uint8Array.from([...Buffer.from('PK\x03\x04'), ...bytes]));
    const text = fc
      .array(fc.constantFrom('1', '22', ',', '\n', '"', 'x', '.', '\r\n', '-'))
      .map((parts) => Uint8Array.from(Buffer.from(parts.join(''))));
    await checkProperty(
      fc.asyncProperty(
        fc.oneof(fc.uint8Array({ maxLength: 64 }), header, packed, bzip2, zip, text),
        async (bytes) => {
          const array = await read(bytes).catch((error: unknown) => error);
          if (array instanceof Error) {
            expect(array).toBeInstanceOf(DataError);
            return;
          }
          for (const convert of [toImages, toLabels]) {
            try {
              convert(array as DataArray);
            } catch (error) {
              expect(error).toBeInstanceOf(DataError);
            }
          }
        },
      ),
      { seed: 1, numRuns: 600 },
    );
  });

  it('is read as it was written, with any dimensions', async () => {
    const dimensions = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 3, maxLength: 4 });
    await checkProperty(
      fc.asyncProperty(dimensions, async (shape) => {
        const array = await read(idxBytes(shape));
        expect(array.dimensions).toEqual(shape);
        expect(array.bytes).toEqual(idxBytes(shape).subarray(4 + 4 * shape.length));
      }),
      { seed: 2 },
    );
  });
});

function idxHeader(dimensions: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * dimensions.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x0800 | dimensions.length);
  dimensions.forEach((size, index) => view.setUint32(4 + 4 * index, size));
  return bytes;
}

function swapped(dimensions: number[]): Uint8Array {
  const bytes = idxBytes(dimensions);
  const view = new DataView(bytes.buffer);
  dimensions.forEach((size, index) => view.setUint32(4 + 4 * index, size, true));
  return bytes;
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError, parseIdxImages, parseIdxLabels } from '../../../shared/data/idx.ts';
import { idxBytes } from '../../support/idx-bytes.ts';
import { checkProperty } from '../../support/property.ts';

describe('an IDX file', () => {
  it('of grey images gives its count, shape and bytes', () => {
    const { count, sampleShape, images } = parseIdxImages(idxBytes([5, 3, 2]), 'a');
    expect({ count, sampleShape }).toEqual({ count: 5, sampleShape: [3, 2, 1] });
    expect([...images]).toEqual(Array.from({ length: 30 }, (_, index) => index));
  });

  it('of colour images keeps its channels', () => {
    const { count, sampleShape, images } = parseIdxImages(idxBytes([2, 3, 2, 3]), 'a');
    expect({ count, sampleShape, bytes: images.length }).toEqual({
      count: 2,
      sampleShape: [3, 2, 3],
      bytes: 36,
    });
  });

  it('of labels gives them', () => {
    expect([...parseIdxLabels(idxBytes([3], [7, 0, 9]), 'a')]).toEqual([7, 0, 9]);
  });

  it('is read right where it lies at an odd place of a larger buffer', () => {
    const file = idxBytes([3], [7, 0, 9]);
    const buffer = new Uint8Array(file.length + 3);
    buffer.set(file, 3);
    expect([...parseIdxLabels(buffer.subarray(3), 'a')]).toEqual([7, 0, 9]);
  });

  const whole = idxBytes([5, 3, 2]);
  it.each([
    ['an empty file', new Uint8Array(0), '0x00000803', '0 bytes in all'],
    ['a header cut short', whole.subarray(0, 9), '16 bytes', '9 bytes in all'],
    ['a body cut short', whole.subarray(0, 40), '46 bytes (its header says 5 x 3 x 2)', 'cut short by 6'],
    ['trailing bytes', new Uint8Array([...whole, 0, 0]), '46 bytes', '48 bytes: 2 too many at its end'],
    ['labels for images', idxBytes([5]), '0x00000803', '0x00000801, which is a file of labels'],
    ['no images', idxBytes([0, 3, 2]), 'at least one byte', '0 x 3 x 2'],
    ['a web page', new TextEncoder().encode('<!DOCTYPE html>'), '0x00000803', 'begins with "<!DOCTYPE ht"'],
    ['absurd dimensions', idxHeader(2 ** 32 - 1), 'its header says 4294967295 x 4294967295', '16 bytes'],
  ])('with %s is refused with file, expected, found and remedy', (_, bytes, expected, found) => {
    const message = messageOf(() => parseIdxImages(bytes, 'some/train-images'));
    expect(message).toContain('some/train-images');
    expect(message).toContain(expected);
    expect(message).toContain(found);
    expect(message).toMatch(/Delete it .* download MNIST again, or point --data at another folder/);
  });

  it('of any bytes at all gives data or a DataError', () => {
    const header = fc
      .tuple(fc.constantFrom(0x801, 0x803, 0x804), fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }))
      .map(([magic, dimensions]) => {
        const bytes = idxBytes(dimensions);
        new DataView(bytes.buffer).setUint32(0, magic);
        return bytes;
      });
    checkProperty(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), header), (bytes) => {
        for (const parse of [parseIdxImages, parseIdxLabels]) {
          try {
            parse(bytes, 'f');
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        }
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('comes back as it was written, whatever its dimensions', () => {
    const dimensions = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 3, maxLength: 4 });
    checkProperty(
      fc.property(dimensions, (shape) => {
        const { count, sampleShape, images } = parseIdxImages(idxBytes(shape), 'f');
        expect([count, ...sampleShape]).toEqual(shape.length === 4 ? shape : [...shape, 1]);
        expect(images).toEqual(idxBytes(shape).subarray(4 + 4 * shape.length));
      }),
      { seed: 2 },
    );
  });
});

function idxHeader(extent: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  [0x803, extent, extent, extent].forEach((word, index) => view.setUint32(4 * index, word));
  return bytes;
}

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readPicture } from '../../../coordinator/predict/image-inputs.ts';

let root: string;
beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'gradcast-inputs-'))));
afterEach(() => rm(root, { recursive: true }));

const SIDE = 9;
const pixels = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => (i * 7) % 256);

async function read(bytes: Uint8Array) {
  const path = join(root, 'picture.png');
  await writeFile(path, bytes);
  return readPicture(path);
}

const encode = (progressive: boolean): Promise<Buffer> =>
  sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .png({ progressive })
    .toBuffer();

function chunk(type: string, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4);
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
  return bytes;
}

/** Header of a gray image. */
function header(height: number, width: number, isInterlaced: boolean): Buffer {
  const data = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, isInterlaced ? 1 : 0]);
  data.writeUInt32BE(width, 0);
  data.writeUInt32BE(height, 4);
  return chunk('IHDR', data);
}

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const END = chunk('IEND', new Uint8Array(0));

it('reads the same pixels of a plain and of an interlaced PNG', async () => {
  const plain = await read(await encode(false));
  const interlaced = await read(await encode(true));
  expect([plain.height, plain.width]).toEqual([SIDE, SIDE]);
  expect([...plain.rgba.subarray(0, 8)]).toEqual([0, 7, 14, 255, 21, 28, 35, 255]);
  expect(Buffer.compare(interlaced.rgba, plain.rgba)).toBe(0);
});

it('refuses a PNG with a second header of another size', async () => {
  const rows = chunk('IDAT', deflateSync(new Uint8Array(4 * 5)));
  const small = header(4, 4, false);
  expect(await read(Buffer.concat([SIGNATURE, small, rows, END]))).toMatchObject({ height: 4, width: 4 });
  const two = Buffer.concat([SIGNATURE, small, header(2, 2, false), rows, END]);
  await expect(read(two)).rejects.toThrow(/picture\.png: expected an image, found a PNG image that is/);
});

it('takes memory by the size of an image, not by what its data unpack to', async () => {
  const bomb = deflateSync(new Uint8Array(2 ** 27));
  const before = process.resourceUsage().maxRSS;
  const image = Buffer.concat([SIGNATURE, header(4, 4, true), chunk('IDAT', bomb), END]);
  const result = await read(image).catch((error: unknown) => error);
  expect(result).toSatisfy((value) => value instanceof Error || (value as { height: number }).height === 4);
  // In KB. The 128 MiB of zeros above count on both sides.
  expect(process.resourceUsage().maxRSS - before).toBeLessThan(2 ** 16);
});

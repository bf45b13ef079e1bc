import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import {
  decodeImage,
  ImageError,
  nameImageError,
  readImageHeader,
  type ImageOptions,
} from '../../../../coordinator/data/images/decode-image.ts';
import { detectImageType } from '../../../../coordinator/data/images/image-type.ts';

/** Red, green, blue, dark gray. */
const COLORS = [255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30];
const color = sharp(Buffer.from(COLORS), { raw: { width: 2, height: 2, channels: 3 } });
const as = (channels: 1 | 3 | 4, height = 2, width = 2): ImageOptions => ({
  size: [height, width],
  channels,
  fit: 'crop',
});
const values = async (image: Promise<Uint8Array>, options: ImageOptions): Promise<number[]> => [
  ...(await decodeImage(await image, options)),
];

async function refusal(bytes: Uint8Array): Promise<string> {
  const error: unknown = await decodeImage(bytes, as(3)).then(
    () => new Error('it was decoded'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ImageError);
  return (nameImageError('cats/1.png', error) as Error).message;
}

describe('decodeImage', () => {
  it('has the exact pixels of a PNG in color', async () => {
    expect(await values(color.clone().png().toBuffer(), as(3))).toEqual(COLORS);
    expect(await values(color.clone().png({ palette: true }).toBuffer(), as(3))).toEqual(COLORS);
  });

  it('makes gray of color by the luma of Rec. 601', async () => {
    // PIL: Image.fromarray(...).convert('L') has 76, 150, 29, 18.
    expect(await values(color.clone().png().toBuffer(), as(1))).toEqual([76, 150, 29, 18]);
  });

  it.each([
    ['8 bits', Buffer.from([0, 100, 200, 255]), 'b-w'],
    ['16 bits', new Uint16Array([0, 25_700, 51_400, 65_535]), 'grey16'],
  ])('has the exact pixels of a gray PNG of %s, also as color', async (_, pixels, space) => {
    const gray = sharp(pixels, { raw: { width: 2, height: 2, channels: 1 } }).toColourspace(space);
    const png = gray.png().toBuffer();
    expect(await readImageHeader(await png)).toMatchObject({ isGray: true, hasAlpha: false });
    expect(await values(png, as(1))).toEqual([0, 100, 200, 255]);
    expect((await values(png, as(3))).slice(0, 6)).toEqual([0, 0, 0, 100, 100, 100]);
  });

  it('blends opacity with white, or keeps it as the fourth channel', async () => {
    const pixels = Buffer.from([255, 0, 0, 128, 0, 255, 0, 0]);
    const png = sharp(pixels, { raw: { width: 2, height: 1, channels: 4 } })
      .png()
      .toBuffer();
    expect(await values(png, as(3, 1))).toEqual([255, 127, 127, 255, 255, 255]);
    expect(await values(png, as(1, 1))).toEqual([165, 255]);
    const kept = await values(png, as(4, 1));
    expect(kept.slice(0, 4)).toEqual([255, 0, 0, 128]);
    expect(kept[7]).toBe(0);
    expect((await values(color.clone().png().toBuffer(), as(4))).slice(0, 4)).toEqual([255, 0, 0, 255]);
  });

  it('turns an image as its camera noted', async () => {
    const pixels = Buffer.from([1, 2, 3, 4, 5, 6]);
    const turned = await sharp(pixels, { raw: { width: 2, height: 1, channels: 3 } })
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    expect(await readImageHeader(turned)).toMatchObject({ height: 2, width: 1 });
    expect([...(await decodeImage(turned, as(3, 2, 1)))]).toEqual([1, 2, 3, 4, 5, 6]);
    const other = sharp(pixels, { raw: { width: 2, height: 1, channels: 3 } }).withMetadata({
      orientation: 3,
    });
    expect(await values(other.png().toBuffer(), as(3, 1))).toEqual([4, 5, 6, 1, 2, 3]);
  });

  it('cuts, pads or distorts an image of another shape, with averages', async () => {
    const columns = Buffer.from([10, 20, 30, 40]);
    const wide = sharp(columns, { raw: { width: 4, height: 1, channels: 1 } })
      .png()
      .toBuffer();
    const fitted = async (fit: ImageOptions['fit'], height: number, width: number) =>
      values(wide, { size: [height, width], channels: 1, fit });
    expect(await fitted('crop', 1, 2)).toEqual([20, 30]);
    expect(await fitted('pad', 3, 4)).toEqual([0, 0, 0, 0, 10, 20, 30, 40, 0, 0, 0, 0]);
    // A triangle over twice two pixels, whose edges are repeated.
    expect(await fitted('stretch', 1, 2)).toEqual([16, 34]);
    expect(await values(wide, { size: [3, 4], channels: 4, fit: 'pad' })).toEqual([
      ...new Array<number>(16).fill(0),
      ...[10, 10, 10, 255, 20, 20, 20, 255, 30, 30, 30, 255, 40, 40, 40, 255],
      ...new Array<number>(16).fill(0),
    ]);
  });

  it.each(['webp', 'gif', 'tiff', 'avif', 'jpeg'] as const)('reads %s', async (format) => {
    const plain = sharp({ create: { width: 16, height: 16, channels: 3, background: '#ff8000' } });
    const bytes = await plain.toFormat(format).toBuffer();
    expect(detectImageType(bytes)).toBe(format);
    const [red = 0, green = 0, blue = 0] = await decodeImage(bytes, as(3));
    expect(Math.abs(red - 255) + Math.abs(green - 128) + Math.abs(blue)).toBeLessThan(12);
  });

  it('takes the first frame of an animation', async () => {
    const frames = Buffer.concat([Buffer.alloc(12, 255), Buffer.alloc(12, 0)]);
    const gif = sharp(frames, { raw: { width: 2, height: 4, channels: 3, pageHeight: 2 } })
      .gif()
      .toBuffer();
    expect((await sharp(await gif).metadata()).pages).toBe(2);
    expect(await values(gif, as(1))).toEqual([255, 255, 255, 255]);
  });
});

it('says how to get the decoder if it is not installed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gradcast-no-sharp-'));
  try {
    const outfile = join(folder, 'decode.mjs');
    const source = fileURLToPath(
      new URL('../../../../coordinator/data/images/decode-image.ts', import.meta.url),
    );
    await build({
      entryPoints: [source],
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['sharp'],
      outfile,
    });
    const png = (await color.clone().png().toBuffer()).toString('base64');
    const program = `
      const { decodeImage } = await import(${JSON.stringify(outfile)});
      const options = { size: [2, 2], channels: 3, fit: 'crop' };
      await decodeImage(Buffer.from(${JSON.stringify(png)}, 'base64'), options).catch((error) => console.log(error.message));
    `;
    const args = ['--input-type=module', '-e', program];
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: folder });
    expect(stdout).toBe(
      'Images are decoded by the package sharp, which is not installed. Install it beside gradcast: npm install sharp.\n',
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

const noise = Buffer.from(Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i) % 251));
const photo = sharp(noise, { raw: { width: 64, height: 64, channels: 3 } });

describe('a file that is no image is refused with its name, its kind and what to do', async () => {
  const png = await photo.clone().png().toBuffer();
  const jpeg = await photo.clone().jpeg().toBuffer();
  const hugeHeader = Buffer.from(png);
  // Width and height of the IHDR chunk: 60,000 x 60,000, with its checksum.
  hugeHeader.writeUInt32BE(60_000, 16);
  hugeHeader.writeUInt32BE(60_000, 20);
  hugeHeader.writeUInt32BE(crc32(hugeHeader.subarray(12, 29)), 29);
  const bomb = await sharp({ create: { width: 9000, height: 9000, channels: 3, background: '#000' } })
    .png()
    .toBuffer();
  it.each<[string, Uint8Array, RegExp]>([
    ['empty', Buffer.alloc(0), /found an empty file \(0 bytes\)/],
    ['text', Buffer.from('hello, this is no image'), /found a file of another kind/],
    ['a web page', Buffer.from('<!DOCTYPE html><p>404'), /found a file of another kind/],
    ['a cut PNG', png.subarray(0, png.length >> 1), /found a PNG image that is (cut short or )?damaged/],
    ['a cut JPEG', jpeg.subarray(0, jpeg.length >> 1), /found a JPEG image that is cut short or damaged/],
    ['the first bytes of a JPEG', jpeg.subarray(0, 20), /found a JPEG image that is/],
    [
      'HEIC',
      Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic'),
      /found an image of the format HEIC.*heif-convert/,
    ],
    [
      'BMP',
      Buffer.from('BM\x00\x00\x00\x00'),
      /found an image of the format BMP, which gradcast does not read\. Save it as PNG/,
    ],
    [
      'SVG',
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
      /found an image of the format SVG, which gradcast does not/,
    ],
    ['a header of 60,000 x 60,000', hugeHeader, /found more than 67108864 pixels.*Make it smaller/],
    ['small, of 81 megapixels', bomb, /found more than 67108864 pixels.*Make it smaller/],
  ])('%s', async (_, bytes, sentence) => {
    const message = await refusal(bytes);
    expect(message).toMatch(/^cats\/1\.png: expected an image, found /);
    expect(message).toMatch(sentence);
    expect(message).not.toContain('\n');
  });
});

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return (crc ^ -1) >>> 0;
}

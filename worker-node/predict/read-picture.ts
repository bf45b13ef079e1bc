import { readFile } from 'node:fs/promises';
import { PNG } from 'pngjs';
import type { Picture } from './sample-from-image.ts';

/** Decoded, a picture of this many bytes could fill the memory. */
const MAX_PIXELS = 64 << 20;
const HEADER_BYTES = 24;

/** @throws Error with a sentence that names the file */
export async function readPicture(file: string): Promise<Picture> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new Error(`${file}: ${missing ? 'there is no such file' : String(error)}.`, { cause: error });
  }
  const isPng = bytes.length >= HEADER_BYTES && bytes.readUInt32BE(0) === 0x89504e47;
  if (!isPng) throw new Error(`${file} is no PNG picture. Save it as PNG.`);
  if (bytes.readUInt32BE(16) * bytes.readUInt32BE(20) > MAX_PIXELS) {
    throw new Error(
      `${file} is ${bytes.readUInt32BE(16)} x ${bytes.readUInt32BE(20)} pixels. Make it smaller.`,
    );
  }
  try {
    const { width, height, data } = PNG.sync.read(bytes);
    return { width, height, rgba: data };
  } catch (error) {
    throw new Error(`${file} is a damaged PNG (${String(error)}). Save it again.`, { cause: error });
  }
}

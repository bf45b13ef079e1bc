import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { looksLikeImageFolder } from '../../../../coordinator/data/list-images.ts';
import { imageTensors } from '../../../../shared/model/tensors.ts';
import { openPictures, png, refusalOf, writePictures } from './picture-files.ts';

let root: string;
let cacheDir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'gradcast-pictures-'));
  cacheDir = join(root, 'cache');
});
afterEach(() => rm(root, { recursive: true }));

const RED = [200, 10, 20];
const BLUE = [30, 40, 250];
const red = png(2, 2, RED);
const blue = png(2, 2, BLUE);

const all = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, i) => i);
const open = async (files: Parameters<typeof writePictures>[1], options = {}) =>
  openPictures(await writePictures(join(root, 'own'), files), { cacheDir, ...options });
const refusal = (files: Parameters<typeof writePictures>[1], options = {}): Promise<string> =>
  refusalOf(open(files, options));

/** Five images of each class. */
const classes = Object.fromEntries(
  ['cats', 'dogs'].flatMap((name) =>
    Array.from({ length: 5 }, (_, i) => [`${name}/${i}.png`, name === 'cats' ? red : blue]),
  ),
);

describe('a folder of images, one folder a class', () => {
  it('has the exact pixels of each image with its class, in the order asked for', async () => {
    const { dataset } = await open(classes);
    expect(dataset).toMatchObject({
      name: 'own',
      ...imageTensors([2, 2, 3], 2),
      classNames: ['cats', 'dogs'],
      preprocessing: { kind: 'image', size: [2, 2], channels: 3, fit: 'crop' },
    });
    const { train } = dataset;
    const numbers = Uint32Array.from([3, 0, 3, 1]);
    const { sampleNumbers, inputs, targets } = await train.read(numbers);
    expect(sampleNumbers).toEqual(numbers);
    const labels = [...numbers].map((number) => train.labels![number]!);
    expect([...targets[0]!]).toEqual(labels);
    expect([...inputs[0]!]).toEqual(
      labels.flatMap((label) => Array.from({ length: 4 }, () => (label === 0 ? RED : BLUE)).flat()),
    );
  });

  it('is divided by class into training and validation, the same by the same seed', async () => {
    const { dataset, report } = await open(classes);
    expect([dataset.train.count, dataset.test.count]).toEqual([8, 2]);
    expect([...dataset.test.labels!].toSorted()).toEqual([0, 1]);
    expect(report.infos.join('\n')).toContain('20% of each class is to validate on (--validation-split)');
    const again = async (options = {}) =>
      (await openPictures(join(root, 'own'), { cacheDir, ...options })).dataset;
    expect((await again()).train.digest).toBe(dataset.train.digest);
    expect((await again({ seed: 2 })).train.digest).not.toBe(dataset.train.digest);
    const other = await again({ validationSplit: 0.4 });
    expect([other.train.count, other.test.count]).toEqual([6, 4]);
  });

  it('has mixed classes, so that a limit takes some of each', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`${i % 2 ? 'cats' : 'dogs'}/${i}.png`, red]),
    );
    const { dataset } = await open(many);
    const first = [...dataset.train.labels!.subarray(0, 16)];
    expect(first).toContain(0);
    expect(first).toContain(1);
  });

  it.each([
    ['train', 'test'],
    ['train', 'val'],
    ['Training', 'validation'],
  ])('is read from %s and %s', async (train, test) => {
    const { dataset, report } = await open({
      [`${train}/cats/1.png`]: red,
      [`${train}/dogs/1.png`]: blue,
      [`${train}/dogs/more/2.png`]: blue,
      [`${test}/dogs/1.png`]: blue,
      'notes/a.png': red,
    });
    expect([dataset.train.count, dataset.test.count]).toEqual([3, 1]);
    expect([...dataset.train.labels!].toSorted()).toEqual([0, 1, 1]);
    expect([...(await dataset.test.read(all(1))).targets[0]!]).toEqual([1]);
    expect(report.warnings).toEqual([
      `Folder notes is not read: ${train} is read to train on, ${test} to test on.`,
    ]);
  });

  it('is tested on another folder, with the same classes', async () => {
    const testFolder = await writePictures(join(root, 'others'), { 'dogs/9.png': blue });
    const { dataset } = await open(classes, { testFolder });
    expect([dataset.train.count, dataset.test.count]).toEqual([10, 1]);
    expect([...dataset.test.labels!]).toEqual([1]);
  });

  it('may lie in folders of an archive, which a line says', async () => {
    const inner = Object.fromEntries(Object.entries(classes).map(([name, bytes]) => [`a/b/${name}`, bytes]));
    const { dataset, report } = await open(inner);
    expect(dataset.classNames).toEqual(['cats', 'dogs']);
    expect(report.warnings.at(-1)).toContain(`The classes are read from ${join(root, 'own/a/b')}`);
  });

  it('leaves out other files with their number, and hidden ones silently', async () => {
    const { dataset, report } = await open({
      ...classes,
      'cats/.DS_Store': 'x',
      'cats/Thumbs.db': 'x',
      'dogs/list.txt': 'x',
      'dogs/b.txt': 'x',
      'dogs/c.json': '{}',
      '.git/config': 'x',
      'loose.png': red,
    });
    expect(dataset.train.count + dataset.test.count).toBe(10);
    expect(report.warnings).toEqual([
      `1 image lies beside the folders of classes, in ${join(root, 'own')}: left out.`,
      '3 files that are no image by name: left out (2 .txt, 1 .json).',
    ]);
  });

  it.skipIf(process.platform === 'win32')(
    'follows links, and names those that lead nowhere or in a circle',
    async () => {
      const folder = await writePictures(join(root, 'own'), classes);
      await symlink(join(folder, 'cats/0.png'), join(folder, 'cats/linked.png'));
      await symlink(join(root, 'gone.png'), join(folder, 'cats/broken.png'));
      await symlink(folder, join(folder, 'dogs/around'));
      const { dataset, report } = await openPictures(folder, { cacheDir });
      // Ten, the linked one, and cats once more by way of dogs/around.
      expect(report.warnings.join('\n')).toContain(
        `Links to files that do not exist: ${join(folder, 'cats/broken.png')}`,
      );
      expect(report.warnings.join('\n')).toMatch(
        /Folder .*around.* is not read: it is a link to a folder around it/,
      );
      expect(dataset.train.count + dataset.test.count).toBeGreaterThanOrEqual(11);
    },
  );

  it.skipIf(process.platform !== 'linux')(
    'reads names that are no UTF-8, and shows none that control a terminal',
    async () => {
      const folder = await writePictures(join(root, 'own'), classes);
      await mkdir(join(folder, 'x\u001b[31m'));
      const odd = Buffer.concat([
        Buffer.from(join(folder, 'x\u001b[31m/')),
        Buffer.from([0xff, 0xfe]),
        Buffer.from('.png'),
      ]);
      await writeFile(odd, await red);
      await writeFile(join(folder, 'x\u001b[31m', 'ünï \n.png'), await blue);
      const { dataset } = await openPictures(folder, { cacheDir, validationSplit: 0.5 });
      expect(dataset.classNames).toEqual(['cats', 'dogs', 'x [31m']);
      const { inputs } = await dataset.train.read(all(dataset.train.count));
      expect(inputs[0]).toHaveLength(dataset.train.count * 12);
    },
  );
});

it.skipIf(process.platform !== 'linux')(
  'two folders whose names are shown alike are refused, not taken for one class',
  async () => {
    expect(await refusal({ ...classes, 'x\u0001y/1.png': red, 'x\u0002y/1.png': blue })).toMatch(
      /own has two folders whose names both read x y, .*Rename one of them\./,
    );
  },
);

describe('size and colors', () => {
  it('are gray for gray images, also if these are stored as color', async () => {
    const gray = png(3, 4, [7], 1);
    const { dataset } = await open({
      'a/1.png': gray,
      'b/1.png': gray,
      'a/2.png': png(3, 4, [9, 9, 9]),
      'b/2.png': gray,
    });
    expect(dataset.inputs[0]?.shape).toEqual([3, 4, 1]);
  });

  it('are a square of the usual size for images of several, with a line', async () => {
    const files = { 'a/1.png': png(20, 30, RED), 'b/1.png': png(40, 10, BLUE), 'a/2.png': png(20, 20, RED) };
    const { dataset, report } = await open({ ...files, 'b/2.png': png(16, 16, BLUE) });
    expect(dataset.inputs[0]?.shape).toEqual([20, 20, 3]);
    expect(report.infos[0]).toContain(
      '20 x 20 color, scaled from 16 to 40 x 10 to 30 and cut to the middle if of another shape; --image-size HEIGHTxWIDTH takes another size.',
    );
  });

  it('are those asked for', async () => {
    const options = { imageSize: [5, 6], channels: 1, fit: 'pad' };
    const { dataset } = await open(classes, options);
    expect(dataset.inputs[0]?.shape).toEqual([5, 6, 1]);
    expect(dataset.preprocessing).toEqual({ kind: 'image', size: [5, 6], channels: 1, fit: 'pad' });
    const [pixels] = (await dataset.train.read(Uint32Array.of(0))).inputs;
    // A square of 5 x 5 in the middle of 6 columns, or beside it: one column is black.
    expect([...pixels!].filter((value) => value === 0)).toHaveLength(5);
  });

  it('keep opacity if asked, and say that it is blended if not', async () => {
    const clear = sharp({
      create: { width: 2, height: 2, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } },
    })
      .png()
      .toBuffer();
    const files = { 'a/1.png': clear, 'b/1.png': red, 'a/2.png': clear, 'b/2.png': red };
    const { report } = await open(files);
    expect(report.infos).toContain(
      'Some images are transparent; they are blended with white (--channels 4 keeps it).',
    );
    expect((await open(files, { channels: 4 })).dataset.inputs[0]?.shape).toEqual([2, 2, 4]);
  });
});

describe('a folder is refused', () => {
  it.each<[string, Record<string, string | Promise<Uint8Array>>, RegExp]>([
    [
      'without images',
      { 'a/1.txt': 'x' },
      /has no folders of images; .*cats\/1\.jpg.*1 file that is no image by name/,
    ],
    [
      'with images and no folders',
      { '1.png': red },
      /has no folders of images; gradcast reads one folder a class/,
    ],
    [
      'of one class',
      { 'cats/1.png': red },
      /has images of one class only, cats, so there is nothing to tell apart/,
    ],
    [
      'of parts without classes',
      { 'train/1.png': red, 'test/1.png': red },
      /train .*has no folders of classes\. Put .*train\/cats/,
    ],
    [
      'with an empty file',
      { ...classes, 'cats/e.png': '', 'dogs/f.png': '' },
      /cats\/e\.png: expected an image, found an empty file \(0 bytes\), the first of 2\./,
    ],
    [
      'with text in a PNG',
      { ...classes, 'cats/t.png': 'no image' },
      /cats\/t\.png: expected an image, found/,
    ],
    [
      'with a web page',
      { ...classes, 'cats/w.png': '<!DOCTYPE html><p>404' },
      /w\.png: expected an image, found a web page \(HTML\)\. Download the file itself/,
    ],
    [
      'with a Git LFS pointer',
      { ...classes, 'cats/l.jpg': 'version https://git-lfs.github.com/spec/v1\n' },
      /l\.jpg: .*Git LFS pointer.*git lfs pull/,
    ],
    [
      'with HEIC',
      { ...classes, 'cats/h.heic': '\0\0\0\x18ftypheic\0\0\0\0mif1heic' },
      /h\.heic: .*HEIC.*heif-convert/,
    ],
    [
      'with a cut header',
      { ...classes, 'dogs/c.png': red.then((bytes) => bytes.subarray(0, 20)) },
      /c\.png: expected an image, found a PNG image that is/,
    ],
  ])('%s', async (_, files, sentence) => {
    expect(await refusal(files)).toMatch(sentence);
  });

  it('that does not exist', async () => {
    expect(await refusalOf(openPictures(join(root, 'none'), { cacheDir }))).toMatch(/none cannot be read/);
  });

  it('that has one image of each class and no test part', async () => {
    await expect(open({ 'a/1.png': red, 'b/1.png': blue })).rejects.toThrow('cannot be divided');
  });
});

describe('a bad image that is found during the run', () => {
  it('is named with the reason, and the others are read', async () => {
    const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i) % 251);
    const whole = await png(64, 64, noise);
    const { dataset } = await open(
      { ...classes, 'dogs/cut.png': whole.subarray(0, whole.length >> 1) },
      { imageSize: [2, 2], validationSplit: 0.1, channels: 3 },
    );
    const results = await Promise.allSettled(
      [dataset.train, dataset.test].flatMap((split) =>
        Array.from({ length: split.count }, (_, sample) => split.read(Uint32Array.of(sample))),
      ),
    );
    const failures = results.filter((result) => result.status === 'rejected');
    expect(failures.map(({ reason }) => (reason as Error).message)).toEqual([
      expect.stringMatching(
        /dogs\/cut\.png: expected an image, found a PNG image that is .*(cut short|damaged)/,
      ),
    ]);
  });

  it('or was removed, is named', async () => {
    const { dataset } = await open(classes);
    await rm(join(root, 'own/cats'), { recursive: true });
    expect(await refusalOf(dataset.train.read(all(8)))).toMatch(
      /cats\/\d\.png cannot be read: the file or a folder above it does not exist/,
    );
  });
});

describe('decoded images on disk', () => {
  it('are read in place of the files, until a file changes', async () => {
    const { dataset } = await open(classes);
    const first = await dataset.train.read(all(8));
    // The same size and time of change: the cache still has it.
    const folder = join(root, 'own');
    const { dataset: again } = await openPictures(folder, { cacheDir });
    await rm(join(folder, 'cats'), { recursive: true });
    expect(await again.train.read(all(8))).toEqual(first);
    await writePictures(folder, classes);
    const changed = await png(2, 2, [1, 2, 3]);
    await writeFile(join(folder, 'cats/0.png'), changed);
    await utimes(join(folder, 'cats/0.png'), new Date(), new Date(Date.now() + 5000));
    const { dataset: other } = await openPictures(folder, { cacheDir });
    expect(other.train.digest).not.toBe(dataset.train.digest);
    const values = [other.train, other.test].map(
      async (split) => (await split.read(all(split.count))).inputs[0],
    );
    const pixels = (await Promise.all(values)).flatMap((part) => [...part!]);
    expect(pixels.filter((value) => value === 3)).toHaveLength(4);
  });

  it('are of one folder, also if another has equal names, sizes and times', async () => {
    // Without compression, images of other colors have the same number of bytes.
    const plain = async (color: readonly number[]) =>
      Object.fromEntries(
        await Promise.all(
          Object.keys(classes).map(async (name) => [
            name,
            await sharp(await png(2, 2, color))
              .png({ compressionLevel: 0 })
              .toBuffer(),
          ]),
        ),
      ) as Record<string, Uint8Array>;
    const folders = [join(root, 'first'), join(root, 'second')] as const;
    const time = new Date('2026-01-02T03:04:05Z');
    const pixels: number[] = [];
    for (const [i, folder] of folders.entries()) {
      const files = await plain(i === 0 ? RED : BLUE);
      await writePictures(folder, files);
      for (const name of Object.keys(files)) await utimes(join(folder, name), time, time);
      const { dataset } = await openPictures(folder, { cacheDir });
      const { inputs } = await dataset.train.read(all(8));
      pixels.push(inputs[0]![0]!);
    }
    expect(pixels).toEqual([RED[0], BLUE[0]]);
    // Nor if a file is written over and gets its old time again.
    const [first] = folders;
    const files = await plain(BLUE);
    await writePictures(first, files);
    for (const name of Object.keys(files)) await utimes(join(first, name), time, time);
    const { dataset } = await openPictures(first, { cacheDir });
    expect((await dataset.train.read(all(8))).inputs[0]![0]).toBe(BLUE[0]);
  });

  it('are not kept if the limit is 0', async () => {
    const { dataset } = await open(classes, { maxCacheBytes: 0 });
    await dataset.train.read(all(8));
    await rm(join(root, 'own/cats'), { recursive: true });
    await expect(dataset.train.read(all(8))).rejects.toThrow('cannot be read');
  });
});

it('a folder that may hold images is recognized by a few names', async () => {
  expect(await looksLikeImageFolder(await writePictures(join(root, 'a'), classes))).toBe(true);
  expect(await looksLikeImageFolder(await writePictures(join(root, 'b'), { 'x/y/train/c/1.jpg': red }))).toBe(
    true,
  );
  expect(
    await looksLikeImageFolder(
      await writePictures(join(root, 'c'), {
        'train.csv': 'a',
        'plots/1.png': red,
        'plots/1.txt': 'x',
        'plots/2.txt': 'x',
      }),
    ),
  ).toBe(false);
  expect(await looksLikeImageFolder(join(root, 'none'))).toBe(false);
});

it.skipIf(process.platform === 'win32')('a pipe with the name of an image is left out', async () => {
  const folder = await writePictures(join(root, 'own'), classes);
  execFileSync('mkfifo', [join(folder, 'cats/pipe.png')]);
  const { dataset } = await openPictures(folder, { cacheDir });
  expect(dataset.train.count + dataset.test.count).toBe(10);
});

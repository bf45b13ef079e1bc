import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import type { StoredSplit } from '../../shared/data/dataset.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { Purpose, randomStream, type RandomStream } from '../../shared/random/stream.ts';

/** Templates of `gradcast init`, by the kind of their data. */
export const TEMPLATES = ['images', 'table', 'text', 'idx'] as const;
export type Template = (typeof TEMPLATES)[number];

const SEED = 1337;

/**
 * Makes the data of a template: a few hundred samples that are drawn or written here, the same ones each time.
 * @param folder folder that exists; files are written below its data/
 */
export async function writeExampleData(template: Template, folder: string): Promise<void> {
  for (const [name, contents] of MAKERS[template]()) {
    const file = join(folder, 'data', name);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, contents, { flag: 'wx' });
  }
}

/** Files by their path below data/. */
type Files = Iterable<readonly [name: string, contents: string | Uint8Array]>;

const MAKERS: Readonly<Record<Template, () => Files>> = {
  images: makeImages,
  table: makeTable,
  text: makeText,
  idx: makeIdx,
};

/** Digits in four IDX files. */
function* makeIdx(): Files {
  const { train, test } = syntheticDigits({ seed: SEED, trainCount: 600, testCount: 200 });
  for (const [prefix, { inputs, targets, count }] of [['train', train] as const, ['t10k', test] as const]) {
    yield [`${prefix}-images-idx3-ubyte`, idxFile([count, 28, 28], inputs)];
    yield [`${prefix}-labels-idx1-ubyte`, idxFile([count], targets)];
  }
}

/** IDX file of unsigned bytes: zero, zero, type 8, number of dimensions, their sizes (big-endian), the bytes. */
function idxFile(sizes: readonly number[], [values]: StoredSplit['inputs']): Buffer {
  const header = Buffer.alloc(4 + 4 * sizes.length);
  header.writeUInt16BE(0x0800 | sizes.length, 2);
  for (const [i, size] of sizes.entries()) header.writeUInt32BE(size, 4 + 4 * i);
  return Buffer.concat([header, Uint8Array.from(values ?? [])]);
}

const SIDE = 28;
/** Whether a shape of radius 1 around 0 covers a point. */
const SHAPES: Readonly<Record<string, (x: number, y: number) => boolean>> = {
  circles: (x, y) => Math.hypot(x, y) < 1,
  crosses: (x, y) => Math.min(Math.abs(x), Math.abs(y)) < 0.3 && Math.max(Math.abs(x), Math.abs(y)) < 1,
  squares: (x, y) => Math.max(Math.abs(x), Math.abs(y)) < 0.85,
};
const IMAGES_PER_CLASS = 80;

/** Shapes of any color, place and size, in a folder for each kind. */
function* makeImages(): Files {
  for (const [kind, [name, covers]] of Object.entries(SHAPES).entries()) {
    for (let i = 0; i < IMAGES_PER_CLASS; i++) {
      const random = randomStream(SEED, Purpose.syntheticDigits, i, 100 + kind);
      const radius = between(random, 6, 11);
      const [centerX, centerY] = [between(random, 11, 17), between(random, 11, 17)];
      const color = [between(random, 120, 255), between(random, 120, 255), between(random, 120, 255)];
      const image = new PNG({ width: SIDE, height: SIDE, colorType: 2 });
      for (let pixel = 0; pixel < SIDE * SIDE; pixel++) {
        const x = ((pixel % SIDE) - centerX) / radius;
        const y = (Math.floor(pixel / SIDE) - centerY) / radius;
        const noise = between(random, 0, 40);
        for (let channel = 0; channel < 3; channel++)
          image.data[4 * pixel + channel] = covers(x, y) ? (color[channel] ?? 0) - noise : noise;
        image.data[4 * pixel + 3] = 255;
      }
      yield [`${name}/${String(i + 1).padStart(3, '0')}.png`, PNG.sync.write(image)];
    }
  }
}

/** Species with their mean sizes and where they live. */
const SPECIES = [
  { name: 'lynx', weight: 21, length: 95, tail: 17, habitats: ['forest', 'mountains'] },
  { name: 'otter', weight: 9, length: 70, tail: 42, habitats: ['river', 'coast'] },
  { name: 'badger', weight: 12, length: 75, tail: 16, habitats: ['forest', 'meadow'] },
] as const;
const ROWS = 240;

/** A table of animals, some of whose values are missing. */
function* makeTable(): Files {
  const random = randomStream(SEED, Purpose.syntheticDigits, 0, 200);
  const rows = Array.from({ length: ROWS }, () => {
    const { name, weight, length, tail, habitats } = SPECIES[random.below(SPECIES.length)] ?? SPECIES[0];
    const vary = (mean: number): string => (mean * (1 + 0.12 * random.normal())).toFixed(1);
    const values = [vary(weight), vary(length), vary(tail), habitats[random.below(habitats.length)]];
    return [random.below(25) === 0 ? '' : values[0], ...values.slice(1), name].join(',');
  });
  yield ['animals.csv', `${['weight_kg,length_cm,tail_cm,habitat,species', ...rows].join('\n')}\n`];
}

const WORDS = {
  who: ['The old captain', 'A small owl', 'The baker', 'Our neighbor', 'The quiet gardener', 'A young fox'],
  does: ['watched', 'followed', 'remembered', 'painted', 'counted', 'looked for'],
  what: [
    'the silver river',
    'seven bright stars',
    'the road to the sea',
    'a letter from home',
    'the last train',
  ],
  when: ['before the rain came', 'every morning', 'until the lamps were lit', 'with great care', 'once more'],
};
const SENTENCES = 150;

/** Sentences of a few words. */
function* makeText(): Files {
  const random = randomStream(SEED, Purpose.syntheticDigits, 0, 300);
  const pick = (words: readonly string[]): string => words[random.below(words.length)] ?? '';
  const sentences = Array.from({ length: SENTENCES }, (_, i) => {
    const sentence = `${pick(WORDS.who)} ${pick(WORDS.does)} ${pick(WORDS.what)} ${pick(WORDS.when)}.`;
    return `${sentence}${i % 5 === 4 ? '\n' : ' '}`;
  });
  yield ['text.txt', sentences.join('')];
}

const between = (random: RandomStream, low: number, high: number): number =>
  low + (high - low) * random.uniform();

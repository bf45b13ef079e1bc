import { createHash } from 'node:crypto';
import { DataError } from '../../../shared/data/data-error.ts';

/** The four parts of a data set. */
export const ROLES = ['trainImages', 'trainLabels', 'testImages', 'testLabels'] as const;
export type Role = (typeof ROLES)[number];

/** A value for each of the four parts. */
export type ByRole<T> = Readonly<Record<Role, T>>;

export interface PublishedFile {
  /** Name of the uncompressed file; mirrors serve it with '.gz'. */
  readonly name: string;
  /** Length of the uncompressed contents, or of the file as it is served. */
  readonly bytes: number;
  readonly sha256: string;
  /**
   * Whether length and hash are those of the file as it is served. Those of the contents are better, since one file can be compressed
   * to different bytes, but not published for every set.
   * @default false
   */
  readonly isPacked?: boolean | undefined;
}

/** Archive with all files of a data set. Length and hash are those of the archive. */
export interface PublishedArchive {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

interface SetAbout {
  /** Contents, as the start of a sentence. */
  readonly title: string;
  /** Addresses of folders, each with a final slash. */
  readonly mirrors: readonly string[];
  /** Names of the classes. @default those in the archive, or none */
  readonly classNames?: readonly string[] | undefined;
}

/** Four gzipped IDX files. */
export interface IdxSet extends SetAbout {
  readonly kind: 'idx';
  readonly files: ByRole<PublishedFile>;
}

/** A part of EMNIST: four gzipped IDX files in a zip archive, with images that are stored transposed. */
export interface EmnistSet extends SetAbout {
  readonly kind: 'emnist';
  readonly archive: PublishedArchive;
  /** Part of the files' names. */
  readonly part: string;
  /** Label of the first class. */
  readonly firstLabel: number;
}

/** CIFAR's binary format in a tar archive. */
export interface CifarSet extends SetAbout {
  readonly kind: 'cifar';
  readonly archive: PublishedArchive;
}

export type NamedSet = IdxSet | EmnistSet | CifarSet;

/** MNIST as published by LeCun, Cortes and Burges, with the checksums that public loaders use. */
export const MNIST_FILES: ByRole<PublishedFile> = {
  trainImages: {
    name: 'train-images-idx3-ubyte',
    bytes: 47_040_016,
    sha256: 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
  },
  trainLabels: {
    name: 'train-labels-idx1-ubyte',
    bytes: 60_008,
    sha256: '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
  },
  testImages: {
    name: 't10k-images-idx3-ubyte',
    bytes: 7_840_016,
    sha256: '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
  },
  testLabels: {
    name: 't10k-labels-idx1-ubyte',
    bytes: 10_008,
    sha256: 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
  },
};

/** Files with the names of MNIST, by length and SHA-256 of the gzipped files in the order of ROLES. */
function gzippedFiles(
  published: readonly (readonly [bytes: number, sha256: string])[],
): ByRole<PublishedFile> {
  const files = ROLES.map((role, i) => {
    const [bytes = 0, sha256 = ''] = published[i] ?? [];
    return [role, { name: MNIST_FILES[role].name, bytes, sha256, isPacked: true }] as const;
  });
  return Object.fromEntries(files) as Record<Role, PublishedFile>;
}

const DIGITS = Array.from('0123456789');
const UPPER_CASE = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ');
const LOWER_CASE = UPPER_CASE.map((letter) => letter.toLowerCase());
/** Lower case letters that look unlike their upper case. */
const DISTINCT_LOWER_CASE = Array.from('abdefghnqrt');

const emnist = (part: string, title: string, classNames: readonly string[], firstLabel = 0): EmnistSet => ({
  kind: 'emnist',
  title: `EMNIST ${title}`,
  mirrors: [
    'https://biometrics.nist.gov/cs_links/EMNIST/',
    'https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/',
  ],
  archive: {
    name: 'gzip.zip',
    bytes: 561_753_746,
    sha256: 'fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e',
  },
  part,
  classNames,
  firstLabel,
});

/** Data sets by the names that --data takes. Sums are those of TensorFlow Datasets and of public loaders of MNIST. */
export const NAMED_SETS: Readonly<Record<string, NamedSet>> = {
  mnist: {
    kind: 'idx',
    title: 'MNIST handwritten digits',
    files: MNIST_FILES,
    mirrors: [
      'https://storage.googleapis.com/cvdf-datasets/mnist/',
      'https://ossci-datasets.s3.amazonaws.com/mnist/',
    ],
  },
  'fashion-mnist': {
    kind: 'idx',
    title: 'Fashion-MNIST articles of clothing',
    mirrors: [
      'https://storage.googleapis.com/tensorflow/tf-keras-datasets/',
      'https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/',
      'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/',
    ],
    files: gzippedFiles([
      [26_421_880, '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84'],
      [29_515, 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845'],
      [4_422_102, '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073'],
      [5_148, '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5'],
    ]),
    classNames: [
      ...['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat'],
      ...['Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'],
    ],
  },
  kmnist: {
    kind: 'idx',
    title: 'Kuzushiji-MNIST cursive characters',
    mirrors: [
      'https://codh.rois.ac.jp/kmnist/dataset/kmnist/',
      'http://codh.rois.ac.jp/kmnist/dataset/kmnist/',
    ],
    files: gzippedFiles([
      [18_165_135, '51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4'],
      [29_497, 'e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17'],
      [3_041_136, 'edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5'],
      [5_120, '20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c'],
    ]),
    classNames: ['o', 'ki', 'su', 'tsu', 'na', 'ha', 'ma', 'ya', 're', 'wo'],
  },
  'emnist-letters': emnist('letters', 'letters', LOWER_CASE, 1),
  'emnist-digits': emnist('digits', 'digits', DIGITS),
  'emnist-mnist': emnist('mnist', 'digits like those of MNIST', DIGITS),
  'emnist-balanced': emnist('balanced', 'digits and letters, as many of each', [
    ...DIGITS,
    ...UPPER_CASE,
    ...DISTINCT_LOWER_CASE,
  ]),
  'emnist-bymerge': emnist('bymerge', 'digits and letters', [
    ...DIGITS,
    ...UPPER_CASE,
    ...DISTINCT_LOWER_CASE,
  ]),
  'emnist-byclass': emnist('byclass', 'digits and letters of both cases', [
    ...DIGITS,
    ...UPPER_CASE,
    ...LOWER_CASE,
  ]),
  'cifar-10': {
    kind: 'cifar',
    title: 'CIFAR-10 photographs',
    mirrors: ['https://www.cs.toronto.edu/~kriz/', 'http://www.cs.toronto.edu/~kriz/'],
    archive: {
      name: 'cifar-10-binary.tar.gz',
      bytes: 170_052_171,
      sha256: 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
    },
  },
  'cifar-100': {
    kind: 'cifar',
    title: 'CIFAR-100 photographs',
    mirrors: ['https://www.cs.toronto.edu/~kriz/', 'http://www.cs.toronto.edu/~kriz/'],
    archive: {
      name: 'cifar-100-binary.tar.gz',
      bytes: 168_513_733,
      sha256: '58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec',
    },
  },
};

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Mirrors of MNIST, in the order in which they are tried: GRADCAST_MNIST_MIRRORS (addresses of folders, separated by
 * commas) if it is set, else the public mirrors. Each ends with a slash.
 *
 * @throws DataError if an address is not an http or https address
 */
export function parseMirrors(env: Environment): readonly string[] {
  const own = parseAddresses(env, 'GRADCAST_MNIST_MIRRORS');
  return own.length > 0 ? own : (NAMED_SETS.mnist?.mirrors ?? []);
}

/**
 * Mirrors of a named set: GRADCAST_DATA_MIRRORS (addresses of folders that have a folder for each name) before the public ones.
 *
 * @throws DataError if an address is not an http or https address
 */
export function mirrorsOf(name: string, { mirrors }: NamedSet, env: Environment): readonly string[] {
  const own = parseAddresses(env, 'GRADCAST_DATA_MIRRORS').map((address) => `${address}${name}/`);
  return [...own, ...(name === 'mnist' ? parseMirrors(env) : mirrors)];
}

function parseAddresses(env: Environment, variable: string): string[] {
  const addresses = (env[variable] ?? '')
    .split(',')
    .map((address) => address.trim())
    .filter((address) => address !== '');
  return addresses.map((address) => {
    if (!/^https?:\/\//.test(address) || !URL.canParse(address)) {
      throw new DataError(
        `${variable}: expected http or https addresses separated by commas, found "${address}". ` +
          'Correct it, or unset it to use the public mirrors.',
      );
    }
    return address.endsWith('/') ? address : `${address}/`;
  });
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Whether the bytes are the contents of a published file whose hash is that of its contents. */
export function matchesPublished(bytes: Uint8Array, file: PublishedFile): boolean {
  return bytes.length === file.bytes && sha256(bytes) === file.sha256;
}

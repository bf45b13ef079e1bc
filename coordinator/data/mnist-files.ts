import { createHash } from 'node:crypto';
import { DataError } from '../../shared/data/data-error.ts';

/** The four parts of a data set. */
export const ROLES = ['trainImages', 'trainLabels', 'testImages', 'testLabels'] as const;
export type Role = (typeof ROLES)[number];

/** A value for each of the four parts. */
export type ByRole<T> = Readonly<Record<Role, T>>;

export interface PublishedFile {
  /** Name of the uncompressed file; mirrors serve it with '.gz'. */
  readonly name: string;
  /** Length of the uncompressed contents. Like the hash: one file can be compressed to different bytes. */
  readonly bytes: number;
  readonly sha256: string;
}

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

const MIRRORS = [
  'https://storage.googleapis.com/cvdf-datasets/mnist/',
  'https://ossci-datasets.s3.amazonaws.com/mnist/',
];

/**
 * Mirrors of MNIST, in the order in which they are tried: GRADCAST_MNIST_MIRRORS (addresses of folders, separated by
 * commas) if it is set, else the public mirrors. Each ends with a slash.
 *
 * @throws DataError if an address is not an http or https address
 */
export function parseMirrors(env: Readonly<Record<string, string | undefined>>): string[] {
  const own = (env.GRADCAST_MNIST_MIRRORS ?? '')
    .split(',')
    .map((address) => address.trim())
    .filter((address) => address !== '');
  if (own.length === 0) return MIRRORS;
  return own.map((address) => {
    if (!/^https?:\/\//.test(address) || !URL.canParse(address)) {
      throw new DataError(
        `GRADCAST_MNIST_MIRRORS: expected http or https addresses separated by commas, found "${address}". ` +
          'Correct it, or unset it to use the public mirrors.',
      );
    }
    return address.endsWith('/') ? address : `${address}/`;
  });
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Whether the bytes are the contents of a published file. */
export function matchesPublished(bytes: Uint8Array, file: PublishedFile): boolean {
  return bytes.length === file.bytes && sha256(bytes) === file.sha256;
}

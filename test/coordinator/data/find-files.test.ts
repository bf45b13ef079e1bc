import { mkdir, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readError } from '../../../coordinator/data/data-file.ts';
import { zipBytes } from '../../support/zip-bytes.ts';
import {
  expectWhole,
  fourFiles,
  imagesFile,
  labelsFile,
  loadFolder,
  refusalOf,
  useScratch,
  writeFiles,
} from './scratch-folder.ts';

const { scratch, refusal } = useScratch();

describe('an unusable path is named', () => {
  const without = (): Record<string, Uint8Array> => {
    const files = fourFiles();
    delete files['train-images-idx3-ubyte'];
    return files;
  };
  const path = (): string => join(scratch.root, 'own', 'train-images-idx3-ubyte');

  it.each<[string, () => Promise<unknown>, string]>([
    ['a folder', () => mkdir(path()), 'is an empty folder, not a file'],
    ['a broken link', () => symlink('nowhere', path()), 'is a link to nowhere, which does not exist'],
    ['a link to itself', () => symlink('train-images-idx3-ubyte', path()), 'is a circular link'],
  ])('%s', async (_, make, found) => {
    await writeFiles(join(scratch.root, 'own'), without());
    await make();
    const message = await refusalOf(loadFolder(join(scratch.root, 'own')));
    expect(message).toContain(`${path()} ${found}`);
    expect(message).not.toMatch(/ENOENT|EISDIR|ELOOP/);
  });

  it.skipIf(process.platform === 'win32')('a socket, since a read from it may never end', async () => {
    await writeFiles(join(scratch.root, 'own'), without());
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path(), resolve));
    try {
      expect(await refusalOf(loadFolder(join(scratch.root, 'own')))).toContain(
        'is a pipe, a socket or a device',
      );
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('but a link to a file is read', async () => {
    await writeFiles(join(scratch.root, 'own'), { ...without(), 'elsewhere/it': imagesFile });
    await symlink(join('elsewhere', 'it'), path());
    expectWhole(await loadFolder(join(scratch.root, 'own')));
  });

  it.each([
    ['EACCES', 'permission denied'],
    ['EIO', 'the disk reports an error'],
    ['EWHATEVER', 'EWHATEVER'],
  ])('a file whose read fails with %s', (code, found) => {
    const { message } = readError('/data/it', Object.assign(new Error('raw message'), { code }));
    expect(message).toBe(
      `/data/it cannot be read: ${found}. Make it readable, or point --data at another folder.`,
    );
  });

  it('files of other kinds, with their number and the supported formats', async () => {
    const files = { '1.png': 'x', '2.png': 'x', '3.png': 'x', 'pathmnist.npz': 'x' };
    const message = await refusal(files);
    expect(message).toContain('only files of other kinds (3 .png, 1 .npz)');
    expect(message).toContain('CSV files of a label and pixels');
    expect(message).toContain('folders of images, one folder a class (cats/1.jpg, dogs/1.jpg)');
    const npz = zipBytes({ 'train_images.npy': '\x93NUMPY', 'train_labels.npy': '\x93NUMPY' });
    await writeFiles(join(scratch.root, 'own'), { 'pathmnist.npz': npz, 'train-labels': labelsFile });
    expect(await refusalOf(loadFolder(join(scratch.root, 'own', 'pathmnist.npz')))).toContain(
      'pathmnist.npz/train_images.npy: expected a NumPy array (.npy), found 7 bytes.',
    );
    expect(await refusalOf(loadFolder(join(scratch.root, 'own', 'train-labels')))).toBe(
      `${join(scratch.root, 'own', 'train-labels')} (from --data) is one file of a data set. Point --data at its folder: ${join(scratch.root, 'own')}.`,
    );
  });
});

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { zipBytes } from '../../support/zip-bytes.ts';
import {
  expectWhole,
  fourFiles,
  labelsFile,
  loadFolder,
  renamed,
  useScratch,
  withTrainLabels,
  writeFiles,
} from './scratch-folder.ts';

const { scratch, load, refusal } = useScratch();

// Output of `bzip2` for labelsFile; and for its first 100 bytes and the rest as two streams, as parallel packers write them.
const BZIP2 = 'QlpoOTFBWSZTWQ9Pq4MAAAFAAH/gIABQgBgJqpDBMWfOqYu4J9JmTUm5NqcU11Tin4u5IpwoSAen1cGA';
const BZIP2_TWICE =
  'QlpoOTFBWSZTWTG+xUMAAAFAAH/gIAAxADAKUoNMmWcjHMp3HkexqPo3GuRuPxdyRThQkDG+xUNCWmg5MUFZJlNZiGNqmQAAGEAAf+AgAFCAGAVKBo0sMBkK3ByCoNB0PBYfF3JFOFCQiGNqmQ==';
const base64 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));

describe('a packed file', () => {
  it.each<[string, Uint8Array]>([
    ['gzip', gzipSync(labelsFile)],
    ['gzip twice', gzipSync(gzipSync(labelsFile))],
    ['zip', zipBytes({ 'train-labels-idx1-ubyte': labelsFile })],
    ['zip with a file of another name', zipBytes({ 'data.bin': labelsFile, '__MACOSX/._data.bin': 'x' })],
    ['gzip in zip', zipBytes({ 'l.gz': gzipSync(labelsFile) })],
    ['bzip2', base64(BZIP2)],
    ['bzip2 in several streams', base64(BZIP2_TWICE)],
    ['not at all', labelsFile],
  ])('is read, whatever its name says: %s', async (_, bytes) => {
    for (const ending of ['', '.gz', '.zip', '.bz2']) {
      const files: Record<string, Uint8Array> = {
        ...fourFiles(),
        [`train-labels-idx1-ubyte${ending}`]: bytes,
      };
      if (ending !== '') delete files['train-labels-idx1-ubyte'];
      expectWhole(await load(files));
      await rm(join(scratch.root, 'own'), { recursive: true });
    }
  });

  it.each<[string, Uint8Array | string, string]>([
    ['gzip cut short', gzipSync(labelsFile).subarray(0, 30), 'it ends after 30 bytes'],
    [
      'zip cut short',
      zipBytes({ l: labelsFile }).subarray(0, 200),
      'a whole zip archive, found one that is cut',
    ],
    ['bzip2 cut short', base64(BZIP2).subarray(0, 40), 'it ends after 40 bytes'],
    [
      'bzip2 with a flipped bit',
      base64(BZIP2).map((b, i) => (i === 35 ? b ^ 4 : b)),
      'bzip2 stream, found one',
    ],
    [
      'packed four times',
      [1, 2, 3, 4].reduce((bytes: Uint8Array) => gzipSync(bytes), labelsFile),
      'at most 3 times',
    ],
    ['zip of several files', zipBytes({ a: labelsFile, b: labelsFile }), 'a zip archive of 2 files'],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'Git LFS pointer'],
    ['a web page', '\n<!DOCTYPE html><html></html>', 'a web page (HTML)'],
    ['a NumPy array', Buffer.from("\x93NUMPY\x01\0v\0{'descr': '<i8'}", 'latin1'), 'a NumPy array (.npy)'],
    ['NumPy arrays', zipBytes({ 'x.npy': '\x93NUMPY', 'y.npy': '\x93NUMPY' }), 'NumPy arrays (.npz)'],
    ['a pickle', Uint8Array.of(0x80, 4, 0x95, 1, 2, 3), 'a Python pickle'],
    [
      'an xz file',
      Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0),
      'an xz file, which gradcast does not unpack',
    ],
    ['a tar archive', tarBytes(), 'a tar archive'],
    ['a MATLAB file', 'MATLAB 5.0 MAT-file, Platform: GLNXA64', 'a MATLAB file (.mat)'],
    ['a PNG', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10), 'a PNG image'],
    ['text of terminal commands', 'caf\u00e9 \u009b2J', 'text that begins with "caf'],
    ['prose', 'Thank you for your download.', 'text that begins with "Thank you for your'],
    ['nothing', '', 'an empty file (0 bytes)'],
  ])('is rejected with its format: %s', async (_, bytes, found) => {
    const message = await refusal(withTrainLabels(bytes));
    expect(message).toContain(join(scratch.root, 'own', 'train-labels-idx1-ubyte'));
    expect(message).toContain(found);
    expect(message).not.toMatch(/delete/i);
    expect(message.length).toBeLessThan(420);
  });

  it('is not inflated beyond the size in its header', async () => {
    const bomb = gzipSync(Buffer.concat([labelsFile, Buffer.alloc(2 ** 26)]));
    expect(await refusal(withTrainLabels(bomb))).toMatch(/found 1\d{6} bytes: at least 1\d{6} too many/);
  });

  it('may be an archive of the whole set, named by --data or in its folder', async () => {
    const archive = zipBytes(renamed((name) => `gzip/emnist-digits-${name}.gz`));
    const folder = await writeFiles(join(scratch.root, 'own'), { 'emnist.zip': archive });
    expectWhole(await loadFolder(folder));
    expectWhole(await loadFolder(join(folder, 'emnist.zip')));
    expectWhole(await loadFolder(join(folder, 'emnist.zip', 'gzip', 'emnist-digits')));
  });
});

function tarBytes(): Uint8Array {
  const bytes = Buffer.alloc(1024);
  bytes.write('train-labels');
  bytes.write('ustar', 257);
  return bytes;
}

import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { text } from 'node:stream/consumers';
import yauzl, { type Entry, type ZipFile } from 'yauzl';
import { parseRecord, targetPath } from './wheel-contents.ts';

/** The file is incomplete or damaged. */
export class CorruptWheelError extends Error {
  override readonly name = 'CorruptWheelError';
}

export interface UnpackOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Unpacks the needed files of a wheel into deps/ and checks them against the SHA-256 hashes in the wheel's RECORD.
 * @returns the text of the wheel's METADATA
 * @throws CorruptWheelError
 */
export async function unpackWheel(path: string, depsDir: string, options: UnpackOptions): Promise<string> {
  const zip = await openZip(path).catch((error: unknown) => {
    throw toCorruptWheelError(error, path);
  });
  try {
    const entries = await readEntries(zip);
    const hashes = parseRecord(await readEntryText(zip, entries, 'RECORD'));
    const wanted = entries.flatMap((entry) => {
      const place = targetPath(entry.fileName);
      return place === null ? [] : [{ entry, place }];
    });
    const totalBytes = wanted.reduce((sum, { entry }) => sum + entry.uncompressedSize, 0);
    let doneBytes = 0;
    for (const { entry, place } of wanted) {
      const hash = createHash('sha256');
      const counted = new Transform({
        transform(chunk: Buffer, _, done) {
          hash.update(chunk);
          doneBytes += chunk.length;
          options.onProgress(doneBytes, totalBytes);
          done(null, chunk);
        },
      });
      const target = join(depsDir, place);
      await mkdir(dirname(target), { recursive: true });
      const stream = await openEntry(zip, entry);
      await pipeline(stream, counted, createWriteStream(target), { signal: options.signal });
      if (hash.digest('base64url') !== hashes.get(entry.fileName)) {
        throw new CorruptWheelError(`${entry.fileName} in ${path} does not match its hash in the wheel`);
      }
    }
    return await readEntryText(zip, entries, 'METADATA');
  } catch (error) {
    throw toCorruptWheelError(error, path);
  } finally {
    zip.close();
  }
}

/** Converts errors of a damaged archive, which have no code; those of the file system have one. */
function toCorruptWheelError(error: unknown, path: string): unknown {
  if (error instanceof CorruptWheelError) return error;
  const { code, name, message } = error as NodeJS.ErrnoException;
  if (name === 'AbortError' || (code !== undefined && !code.startsWith('Z_'))) return error;
  return new CorruptWheelError(`${path}: ${message}`);
}

function openZip(path: string): Promise<ZipFile> {
  return new Promise((resolve, reject) => {
    yauzl.open(path, { lazyEntries: true, autoClose: false }, (error, zip) => {
      if (error) reject(error);
      else resolve(zip);
    });
  });
}

function readEntries(zip: ZipFile): Promise<Entry[]> {
  return new Promise((resolve, reject) => {
    const entries: Entry[] = [];
    zip.on('entry', (entry: Entry) => {
      entries.push(entry);
      zip.readEntry();
    });
    zip.once('end', () => resolve(entries));
    zip.once('error', reject);
    zip.readEntry();
  });
}

function openEntry(zip: ZipFile, entry: Entry): Promise<NodeJS.ReadableStream> {
  return new Promise((resolve, reject) => {
    zip.openReadStream(entry, (error, stream) => {
      if (error) reject(error);
      else resolve(stream);
    });
  });
}

async function readEntryText(zip: ZipFile, entries: readonly Entry[], name: string): Promise<string> {
  const entry = entries.find(({ fileName }) => new RegExp(`^[^/]+\\.dist-info/${name}$`).test(fileName));
  if (entry === undefined) throw new CorruptWheelError(`it has no ${name}`);
  return text(await openEntry(zip, entry));
}

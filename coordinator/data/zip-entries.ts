import yauzl, { type Entry, type ZipFile } from 'yauzl';
import { invalidFileError, DataError } from '../../shared/data/data-error.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { Chunks, DataFile } from './data-file.ts';

/** An archive of a data set holds tens of files; one with more holds single images. */
const MAX_ENTRIES = 20_000;

type OpenZip = () => Promise<ZipFile>;

/** Lists the files in a zip archive on disk, without folders. @throws DataError if the archive is not whole */
export function zipOnDisk(path: string, name: string): Promise<DataFile[]> {
  return listFiles(sanitizeForTerminal(path), name, () => openZip((done) => yauzl.open(path, OPTIONS, done)));
}

/** Lists the files in a zip archive in memory, without folders. @throws DataError if the archive is not whole */
export function zipInMemory(bytes: Uint8Array, path: string): Promise<DataFile[]> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return listFiles(path, '', () => openZip((done) => yauzl.fromBuffer(buffer, OPTIONS, done)));
}

const OPTIONS = { lazyEntries: true, autoClose: false } as const;

function openZip(open: (done: (error: Error | null, zip: ZipFile) => void) => void): Promise<ZipFile> {
  return new Promise((resolve, reject) => open((error, zip) => (error ? reject(error) : resolve(zip))));
}

async function listFiles(path: string, name: string, open: OpenZip): Promise<DataFile[]> {
  const entries = await withZip(path, open, listEntries);
  return entries
    .filter(({ fileName }) => !fileName.endsWith('/') && !/(^|\/)(__MACOSX\/|\.)/.test(fileName))
    .map((entry) => ({
      name: name === '' ? entry.fileName : `${name}/${entry.fileName}`,
      path: `${path}/${sanitizeForTerminal(entry.fileName)}`,
      open: () => readEntry(path, open, entry),
    }));
}

async function* readEntry(path: string, open: OpenZip, entry: Entry): Chunks {
  const entryPath = `${path}/${sanitizeForTerminal(entry.fileName)}`;
  if (entry.isEncrypted()) {
    throw new DataError(`${entryPath} is encrypted. Unpack the archive with its password first.`);
  }
  const zip = await open().catch((error: unknown) => {
    throw damagedZipError(path, error);
  });
  try {
    yield* await new Promise<AsyncIterable<Buffer>>((resolve, reject) => {
      zip.openReadStream(entry, (error, stream) => (error ? reject(error) : resolve(stream)));
    });
  } catch (error) {
    throw damagedZipError(entryPath, error);
  } finally {
    zip.close();
  }
}

async function withZip<Result>(
  path: string,
  open: OpenZip,
  work: (zip: ZipFile) => Promise<Result>,
): Promise<Result> {
  try {
    const zip = await open();
    try {
      return await work(zip);
    } finally {
      zip.close();
    }
  } catch (error) {
    throw damagedZipError(path, error);
  }
}

function listEntries(zip: ZipFile): Promise<Entry[]> {
  return new Promise((resolve, reject) => {
    const entries: Entry[] = [];
    zip.on('entry', (entry: Entry) => {
      entries.push(entry);
      if (entries.length >= MAX_ENTRIES) resolve(entries);
      else zip.readEntry();
    });
    zip.once('end', () => resolve(entries));
    zip.once('error', reject);
    zip.readEntry();
  });
}

function damagedZipError(path: string, error: unknown): DataError {
  if (error instanceof DataError) return error;
  return invalidFileError(path, 'a whole zip archive', 'one that is cut short or damaged');
}

import { invalidFileError, DataError } from '../../shared/data/data-error.ts';
import { MAX_DATA_BYTES, type DataArray } from './data-array.ts';
import type { DataFile } from './data-file.ts';
import { readCsv } from './read-csv.ts';
import { readIdx } from './read-idx.ts';
import { openContents } from './unpack.ts';

/**
 * The numbers in a file, whatever it is packed with and whatever its name says.
 *
 * @param file undefined for a part that a data set lacks
 * @param maxBytes refuse an IDX file of more, before any memory is taken for it
 * @throws DataError if there is none, or it is no IDX or CSV file, or a damaged one
 */
export async function readArray(file: DataFile | undefined, maxBytes = MAX_DATA_BYTES): Promise<DataArray> {
  if (file === undefined) throw new DataError('A file of the data set is missing.');
  const { path } = file;
  const contents = await openContents(file);
  const { content, chunks } = contents;
  try {
    switch (content.kind) {
      case 'idx':
        return await readIdx(contents, path, maxBytes);
      case 'csv':
        return await readCsv(chunks, path);
      case 'empty':
        throw invalidFileError(path, 'IDX or CSV data', 'an empty file (0 bytes)');
      case 'other':
        throw invalidFileError(path, 'IDX or CSV data', content.found, content.remedy);
    }
  } finally {
    await contents.close();
  }
}

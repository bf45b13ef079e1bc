import { invalidFileError, DataError } from '../../shared/data/data-error.ts';
import { MAX_DATA_BYTES, type DataArray } from './data-array.ts';
import type { DataFile } from './data-file.ts';
import { readCsv } from './read-csv.ts';
import { readIdx } from './read-idx.ts';
import { openContents } from './unpack.ts';

/**
 * Reads the numbers in an IDX or CSV file. Its packing and format are detected from its contents, not from its name.
 *
 * @param file undefined for a missing part of a data set
 * @param maxBytes maximum length of an IDX file, checked before memory is allocated
 * @throws DataError if the file is missing, damaged, or not an IDX or CSV file
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

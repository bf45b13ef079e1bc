/** Unusable data. The message tells the user which file, what is wrong with it and what to do. */
export class DataError extends Error {
  override readonly name = 'DataError';
}

/** Advice for a damaged file. It does not suggest deleting the file, which may be the user's own. */
export const DOWNLOAD_AGAIN = 'Get the file again from where it came, or point --data at another folder.';

/** Error for a data file with unexpected contents. */
export function invalidFileError(
  file: string,
  expected: string,
  found: string,
  remedy = DOWNLOAD_AGAIN,
): DataError {
  return new DataError(`${file}: expected ${expected}, found ${found}. ${remedy}`);
}

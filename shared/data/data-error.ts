/** Data that cannot be used. Its message is for the person: which file, what is wrong with it, what to do. */
export class DataError extends Error {
  override readonly name = 'DataError';
}

/** What to do about a damaged file. The file may be the person's own, so nothing here speaks of deleting it. */
export const DOWNLOAD_AGAIN = 'Get the file again from where it came, or point --data at another folder.';

/** A data file that is not what it should be, in the one form all such messages have. */
export function invalidFileError(
  file: string,
  expected: string,
  found: string,
  remedy = DOWNLOAD_AGAIN,
): DataError {
  return new DataError(`${file}: expected ${expected}, found ${found}. ${remedy}`);
}

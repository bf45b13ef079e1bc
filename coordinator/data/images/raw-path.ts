import { sanitizeForTerminal } from '../../../shared/util/sanitize.ts';

/**
 * Encoding of paths. A name on a disk of Linux can be any bytes, which latin1 keeps: such a file can be opened, and a name is as short
 * in memory as on the disk.
 */
export const RAW_ENCODING = process.platform === 'win32' ? 'utf8' : 'latin1';

/** Path of a file, in RAW_ENCODING. */
export type RawPath = string & { readonly raw: true };

export const rawPath = (path: string): RawPath => Buffer.from(path).toString(RAW_ENCODING) as RawPath;

/** Path for calls of the file system. */
export const openable = (path: RawPath): Buffer => Buffer.from(path, RAW_ENCODING);

/** Path or name for messages. */
export const readable = (path: string): string =>
  sanitizeForTerminal(Buffer.from(path, RAW_ENCODING).toString());

/** Path of a file or folder below another. */
export const joinRaw = (folder: RawPath, name: string): RawPath =>
  (folder === '' ? name : `${folder}/${name}`) as RawPath;

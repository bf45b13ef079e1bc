import { errorMessage } from '../../shared/util/error-message.ts';

/** Messages for the error codes of system calls on files. */
const MESSAGES: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file is too large for this disk',
  EROFS: 'the file system is read-only',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EIO: 'the disk reports an error',
  ESTALE: 'the network disk is gone',
  ENOTDIR: 'a part of the path is a file',
  EISDIR: 'a folder is there',
  ENOENT: 'the file or a folder above it does not exist',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'the links of the path form a circle',
  EMFILE: 'this process has too many open files',
  ENFILE: 'this machine has too many open files',
};

/** Why a file or folder cannot be read or written, as the end of a sentence without its period. */
export function describeDiskError(error: unknown): string {
  const { code = '' } = (error ?? {}) as NodeJS.ErrnoException;
  // The message of an unlisted system error repeats the path, so the code alone is shorter and says as much.
  return MESSAGES[code] ?? (/^E[A-Z0-9]+$/.test(code) ? code : errorMessage(error).replace(/\.$/, ''));
}

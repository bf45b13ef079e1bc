import { open } from 'node:fs/promises';
import type { WritableFile } from '../../coordinator/files/write-file.ts';

export const systemError = (code: string): Error => Object.assign(new Error(`${code}: raw`), { code });

/** Opens files on a disk with so many free bytes. Then writes fail, or report bytes that the disk did not take. */
export function fullDisk(freeBytes: number, then: 'fails' | 'says nothing') {
  let left = freeBytes;
  return async (path: string, flags: string, mode: number): Promise<WritableFile> => {
    const file = await open(path, flags, mode);
    return {
      async write(bytes, offset, length, position) {
        const taken = Math.min(left, length);
        if (taken === 0 && then === 'fails') throw systemError('ENOSPC');
        left -= taken;
        await file.write(bytes, offset, taken, position);
        return { bytesWritten: then === 'fails' ? taken : length };
      },
      read: (...range) => file.read(...range),
      sync: () => file.sync(),
      close: () => file.close(),
    };
  };
}

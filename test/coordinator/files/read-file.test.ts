import { expect, it } from 'vitest';
import { readRegularFile } from '../../../coordinator/files/read-file.ts';

it.skipIf(process.platform === 'win32')(
  'a device is rejected, since a read from it may never end',
  async () => {
    await expect(readRegularFile('/dev/zero')).rejects.toThrow('it is not a regular file');
  },
);

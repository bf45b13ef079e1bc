import { createHash } from 'node:crypto';
import { isLazy, type Dataset } from '../../shared/data/dataset.ts';

/**
 * SHA-256 of all inputs, targets and weights, or of the digests of samples that are read when they are needed; hexadecimal. It
 * identifies a data set, whatever the name of its folder.
 */
export function datasetDigest({ train, test }: Pick<Dataset, 'train' | 'test'>): string {
  const hash = createHash('sha256');
  for (const split of [train, test]) {
    if (isLazy(split)) {
      hash.update(split.digest);
      continue;
    }
    const { inputs, targets, weights } = split;
    for (const { buffer, byteOffset, byteLength } of [...inputs, ...targets, ...(weights ? [weights] : [])]) {
      hash.update(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }
  return hash.digest('hex');
}

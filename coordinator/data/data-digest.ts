import { createHash } from 'node:crypto';
import type { Dataset } from '../../shared/data/dataset.ts';

/** SHA-256 of all images and labels, hexadecimal: folders of one name may hold different files. */
export function datasetDigest({ train, test }: Pick<Dataset, 'train' | 'test'>): string {
  const hash = createHash('sha256');
  for (const { images, labels } of [train, test]) hash.update(images).update(labels);
  return hash.digest('hex');
}

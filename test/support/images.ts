import {
  isLazy,
  type Split,
  type StoredDataset,
  type StoredSplit,
  type Dataset,
} from '../../shared/data/dataset.ts';
import type { Shard } from '../../shared/data/shard.ts';

type Tensors = Pick<Shard, 'inputs' | 'targets'>;

/** Shard of images and classes. */
export const imageShard = ({
  images,
  labels,
  sampleNumbers = Uint32Array.from(labels.keys()),
}: {
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
  readonly sampleNumbers?: Uint32Array;
}): Shard => ({ sampleNumbers, inputs: [images], targets: [labels] });

/** Images of a split or shard. */
export const imagesOf = (samples: Tensors | Split): Uint8Array =>
  storedTensors(samples).inputs[0] as Uint8Array;

/** Classes of a split or shard. */
export const labelsOf = (samples: Tensors | Split): Uint8Array =>
  storedTensors(samples).targets[0] as Uint8Array;

/** @throws Error if the samples are not in memory */
function storedTensors<Samples extends Tensors>(samples: Samples | Split): Samples | StoredSplit {
  if ('read' in samples) throw new Error('The samples are not in memory.');
  return samples;
}

/** The data set. @throws Error if its samples are not in memory */
export function storedDataset(dataset: Dataset): StoredDataset {
  const { train, test } = dataset;
  if (isLazy(train) || isLazy(test)) throw new Error(`${dataset.name} is not in memory.`);
  return { ...dataset, train, test };
}

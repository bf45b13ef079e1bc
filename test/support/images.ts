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
export const imagesOf = ({ inputs: [images] }: Tensors): Uint8Array => images as Uint8Array;

/** Classes of a split or shard. */
export const labelsOf = ({ targets: [labels] }: Tensors): Uint8Array => labels as Uint8Array;

import { isLazy, transformSplit, type Dataset, type Split } from '../../shared/data/dataset.ts';
import type { Shard } from '../../shared/data/shard.ts';
import type { TensorValues } from '../../shared/model/tensors.ts';

/**
 * Data set with rows and columns of each image exchanged, as EMNIST stores its images. Tensors that are no images stay as they
 * are; a data set without images is returned unchanged.
 */
export function transposeImages(dataset: Dataset): Dataset {
  const isImage = dataset.inputs.map(({ shape, dtype }) => shape.length === 3 && dtype === 'uint8');
  if (!isImage.includes(true)) return dataset;
  const transposeInputs = <Samples extends Omit<Shard, 'sampleNumbers'>>(samples: Samples): Samples => ({
    ...samples,
    inputs: samples.inputs.map((values, i) =>
      isImage[i] === true ? exchangeAxes(values, dataset.inputs[i]?.shape ?? []) : values,
    ),
  });
  const transposeSplit = (split: Split): Split =>
    isLazy(split) ? transformSplit(split, 'transposed', transposeInputs) : transposeInputs(split);
  return {
    ...dataset,
    description: `${dataset.description.replace(/\.$/, '')}, with rows and columns of each image exchanged.`,
    inputs: dataset.inputs.map((spec, i) => {
      const [height = 0, width = 0, channels = 1] = spec.shape;
      return isImage[i] === true ? { ...spec, shape: [width, height, channels] } : spec;
    }),
    train: transposeSplit(dataset.train),
    test: transposeSplit(dataset.test),
    isTransposed: true,
  };
}

/** @param values [samples, height, width, channels] @returns [samples, width, height, channels] */
function exchangeAxes(
  values: TensorValues,
  [height = 0, width = 0, channels = 1]: readonly number[],
): TensorValues {
  const exchanged = values.slice();
  const sample = height * width * channels;
  for (let start = 0; start < values.length; start += sample) {
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        for (let channel = 0; channel < channels; channel++) {
          exchanged[start + (column * height + row) * channels + channel] = values[
            start + (row * width + column) * channels + channel
          ] as number;
        }
      }
    }
  }
  return exchanged;
}

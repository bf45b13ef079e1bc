import { asImages, imageDataset, type Dataset, type LabeledImages } from '../../shared/data/dataset.ts';

/**
 * Copy of a data set with rows and columns of each image exchanged, as EMNIST stores its images. Samples that are no images
 * stay as they are.
 */
export function transposeImages(dataset: Dataset): Dataset {
  const stored = asImages(dataset);
  if (stored === null) return dataset;
  const [height = 0, width = 0, channels = 1] = stored.sampleShape;
  const transposeSplit = (split: LabeledImages): LabeledImages => {
    const images = new Uint8Array(split.images.length);
    const sample = height * width * channels;
    for (let start = 0; start < images.length; start += sample) {
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          for (let channel = 0; channel < channels; channel++) {
            images[start + (column * height + row) * channels + channel] = split.images[
              start + (row * width + column) * channels + channel
            ] as number;
          }
        }
      }
    }
    return { ...split, images };
  };
  return imageDataset({
    ...stored,
    description: `${stored.description.replace(/\.$/, '')}, with rows and columns of each image exchanged.`,
    sampleShape: [width, height, channels],
    train: transposeSplit(stored.train),
    test: transposeSplit(stored.test),
    isTransposed: true,
  });
}

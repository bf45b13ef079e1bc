import type { Dataset, Split } from '../../shared/data/dataset.ts';

/** The data set with rows and columns of each image exchanged: EMNIST's files hold their images so. A copy. */
export function transposeImages(dataset: Dataset): Dataset {
  const [height = 0, width = 0, channels = 1] = dataset.sampleShape;
  const turn = (split: Split): Split => {
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
  return {
    ...dataset,
    description: `${dataset.description.replace(/\.$/, '')}, with rows and columns of each image exchanged.`,
    sampleShape: [width, height, channels],
    train: turn(dataset.train),
    test: turn(dataset.test),
    isTransposed: true,
  };
}

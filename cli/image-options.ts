import { InvalidArgumentError, Option } from 'commander';
import { IMAGE_FITS } from '../coordinator/data/data-options.ts';
import { fraction } from './options.ts';

const CHANNELS = ['1', '3', '4'];
const MAX_SIDE = 4096;

/** Options about images and the samples to validate on, of the commands that read a data set. */
export const imageOptions = (): Option[] => [
  new Option(
    '--validation-split <part>',
    'part of the training samples to validate on, the same of each class (default: 0.2 if there are no others)',
  ).argParser(validationSplit),
  new Option(
    '--image-size <size>',
    'height and width of images, such as 48x64, or one number for both (default: their own, if they are alike)',
  ).argParser(imageSize),
  new Option(
    '--channels <n>',
    'channels of images: 1 is gray, 3 color, 4 color and opacity (default: by a look at them)',
  ).argParser(channels),
  new Option(
    '--fit <how>',
    'how an image of another shape gets that size: cut to its middle, padded with black, or distorted (default: crop)',
  ).choices(IMAGE_FITS),
];

/** Keys of the flags of imageOptions. */
export const IMAGE_FLAG_KEYS = ['validationSplit', 'imageSize', 'channels', 'fit'];

/** Parses height and width, or the side of a square: 48x64, 64. */
function imageSize(text: string): [number, number] {
  const [, height = '', width = height] = /^(\d{1,4})(?:x(\d{1,4}))?$/i.exec(text) ?? [];
  const size: [number, number] = [Number(height), Number(width)];
  if (size.every((side) => side >= 1 && side <= MAX_SIDE)) return size;
  throw new InvalidArgumentError(
    `It takes height and width from 1 to ${MAX_SIDE}, such as 48x64, or one number for both.`,
  );
}

function channels(text: string): number {
  if (CHANNELS.includes(text)) return Number(text);
  throw new InvalidArgumentError('It takes 1 for gray, 3 for color, or 4 for color and opacity.');
}

function validationSplit(text: string): number {
  const part = fraction(text);
  if (part > 0 && part < 1) return part;
  throw new InvalidArgumentError('It takes a number between 0 and 1, such as 0.2.');
}

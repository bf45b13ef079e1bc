import { floatsOf, kernelFunc, type KernelFunc, type TensorInfo } from './backend.ts';

interface Inputs {
  /** [samples, height, width, channels] */
  readonly image: TensorInfo;
  /** [samples or 1, 8]: a0, a1, a2, b0, b1, b2, c0, c1 */
  readonly transforms: TensorInfo;
}

interface Attrs {
  readonly interpolation: 'nearest' | 'bilinear';
  readonly fillMode: FillMode;
  readonly fillValue: number;
  readonly outputShape?: readonly [number, number] | null;
}

type FillMode = 'constant' | 'reflect' | 'wrap' | 'nearest';

/** Coordinate inside an image of `length` pixels for one that may be outside, as TensorFlow defines it. */
function inside(coordinate: number, length: number, mode: FillMode): number {
  const last = length - 1;
  const clamp = (at: number): number => Math.min(last, Math.max(0, at));
  if (mode === 'constant') return coordinate;
  if (mode === 'nearest' || length <= 1 || (coordinate >= 0 && coordinate <= last)) return clamp(coordinate);
  if (mode === 'wrap') {
    const turns = Math.trunc(Math.abs(coordinate) / last);
    return clamp(coordinate < 0 ? coordinate + length * (turns + 1) : coordinate - length * turns);
  }
  const period = 2 * length;
  if (coordinate < 0) {
    const at = coordinate + period * Math.trunc(-coordinate / period);
    return clamp(at < -length ? at + period : -at - 1);
  }
  const at = coordinate - period * Math.trunc(coordinate / period);
  return clamp(at >= length ? period - at - 1 : at);
}

/**
 * Transform: moves the pixels of images; the pixel (x, y) of the result is that at (a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k
 * with k = c0 x + c1 y + 1. tfjs' own kernel has other values beyond the edges with fill mode 'reflect'. A plain loop over the
 * backend's memory.
 */
export function transform(): KernelFunc {
  return kernelFunc<Inputs, Attrs>(({ inputs, attrs, backend }) => {
    const { interpolation, fillMode, fillValue } = attrs;
    const [samples = 0, height = 0, width = 0, channels = 0] = inputs.image.shape;
    const [rows, columns] = attrs.outputShape ?? [height, width];
    const out = backend.makeOutput([samples, rows, columns, channels], 'float32');
    const from = floatsOf(backend, inputs.image);
    const to = floatsOf(backend, out);
    const transforms = floatsOf(backend, inputs.transforms);
    const perSample = (inputs.transforms.shape[0] ?? 1) > 1;
    const nearest = interpolation === 'nearest';
    let at = 0;

    for (let sample = 0; sample < samples; sample++) {
      const [a0 = 1, a1 = 0, a2 = 0, b0 = 0, b1 = 1, b2 = 0, c0 = 0, c1 = 0] = transforms.subarray(
        perSample ? 8 * sample : 0,
      );
      const first = sample * height * width * channels;
      const read = (y: number, x: number, channel: number): number =>
        y < 0 || y >= height || x < 0 || x >= width
          ? fillValue
          : (from[first + (y * width + x) * channels + channel] as number);
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const k = c0 * column + c1 * row + 1;
          const x = inside(Math.fround((a0 * column + a1 * row + a2) / k), width, fillMode);
          const y = inside(Math.fround((b0 * column + b1 * row + b2) / k), height, fillMode);
          const left = Math.floor(x);
          const top = Math.floor(y);
          const right = x - left;
          const down = y - top;
          for (let channel = 0; channel < channels; channel++, at++) {
            if (k === 0) to[at] = fillValue;
            else if (nearest) to[at] = read(Math.round(y), Math.round(x), channel);
            else {
              const upper = (1 - right) * read(top, left, channel) + right * read(top, left + 1, channel);
              const lower =
                (1 - right) * read(top + 1, left, channel) + right * read(top + 1, left + 1, channel);
              to[at] = (1 - down) * upper + down * lower;
            }
          }
        }
      }
    }
    return out;
  });
}

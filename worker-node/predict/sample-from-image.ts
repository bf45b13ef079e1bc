/** A decoded picture: 8-bit RGBA, row-major. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgba: Uint8Array;
}

/** One channel of a picture, 0 to 255. */
interface Plane {
  readonly width: number;
  readonly height: number;
  readonly values: Float64Array;
}

/** MNIST's digits are 20 pixels high or wide in a field of 28, with the centre of mass in the middle. */
const INK_SHARE = 20 / 28;
/** Of 255; what is darker is background. */
const INK = 32;

/**
 * A picture as a sample of the model. A picture of the model's own size is taken as it is, light ink on black as MNIST
 * or dark ink on white alike. Any other with one channel is treated as MNIST's makers treated theirs: the ink is cut
 * out, scaled to 20/28 of the field and centred by its mass. With more channels it is only scaled.
 * @param sampleShape [height, width, channels]
 * @returns [height, width, channels], 0 to 255
 * @throws Error if there is no ink
 */
export function sampleFromPicture(picture: Picture, sampleShape: readonly number[]): Uint8Array {
  const [height = 0, width = 0, channels = 1] = sampleShape;
  if (channels > 1) {
    const planes = Array.from({ length: channels }, (_, c) =>
      scale(channel(picture, Math.min(c, 2)), width, height),
    );
    return Uint8Array.from({ length: width * height * channels }, (_, i) =>
      Math.round(planes[i % channels]?.values[Math.floor(i / channels)] ?? 0),
    );
  }
  const ink = lightOnDark(luma(picture));
  const sample = ink.width === width && ink.height === height ? ink : centred(ink, width, height);
  return Uint8Array.from(sample.values, Math.round);
}

/** Over white, as an image viewer shows transparency. */
function channel({ width, height, rgba }: Picture, index: number): Plane {
  const values = Float64Array.from({ length: width * height }, (_, i) => {
    const alpha = (rgba[4 * i + 3] ?? 255) / 255;
    return (rgba[4 * i + index] ?? 0) * alpha + 255 * (1 - alpha);
  });
  return { width, height, values };
}

/** Rec. 601 luma. */
function luma(picture: Picture): Plane {
  const [red, green, blue] = [channel(picture, 0), channel(picture, 1), channel(picture, 2)];
  const values = red.values.map(
    (value, i) => 0.299 * value + 0.587 * (green.values[i] ?? 0) + 0.114 * (blue.values[i] ?? 0),
  );
  return { ...red, values };
}

/** The border is background: where it is light, the picture is turned into its negative. */
function lightOnDark(plane: Plane): Plane {
  const { width, height, values } = plane;
  const border = values.filter((_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return x === 0 || y === 0 || x === width - 1 || y === height - 1;
  });
  const mean = border.reduce((sum, value) => sum + value, 0) / border.length;
  return mean > 127 ? { ...plane, values: values.map((value) => 255 - value) } : plane;
}

function centred(plane: Plane, width: number, height: number): Plane {
  const ink = cutOut(plane);
  const factor = (INK_SHARE * Math.min(width, height)) / Math.max(ink.width, ink.height);
  const scaled = scale(
    ink,
    Math.max(1, Math.round(ink.width * factor)),
    Math.max(1, Math.round(ink.height * factor)),
  );
  const mass = scaled.values.reduce((sum, value) => sum + value, 0);
  const meanOf = (position: (i: number) => number): number =>
    scaled.values.reduce((sum, value, i) => sum + value * (position(i) + 0.5), 0) / mass;
  const left = Math.round(width / 2 - meanOf((i) => i % scaled.width));
  const top = Math.round(height / 2 - meanOf((i) => Math.floor(i / scaled.width)));
  const values = new Float64Array(width * height);
  scaled.values.forEach((value, i) => {
    const x = left + (i % scaled.width);
    const y = top + Math.floor(i / scaled.width);
    if (x >= 0 && x < width && y >= 0 && y < height) values[y * width + x] = value;
  });
  return { width, height, values };
}

/** The smallest part that holds all ink. */
function cutOut({ width, height, values }: Plane): Plane {
  const inked = [...values.keys()].filter((i) => (values[i] ?? 0) >= INK);
  if (inked.length === 0)
    throw new Error('The picture is empty: nothing in it stands out from its background.');
  const xs = inked.map((i) => i % width);
  const ys = inked.map((i) => Math.floor(i / width));
  const least = (list: number[]): number => list.reduce((a, b) => Math.min(a, b));
  const most = (list: number[]): number => list.reduce((a, b) => Math.max(a, b));
  const [left, top] = [least(xs), least(ys)];
  const [w, h] = [most(xs) - left + 1, most(ys) - top + 1];
  const part = Float64Array.from(
    { length: w * h },
    (_, i) => values[(top + Math.floor(i / w)) * width + left + (i % w)] ?? 0,
  );
  return { width: w, height: Math.min(h, height), values: part };
}

/** Scales by the mean over the area that each new pixel covers. */
function scale(plane: Plane, width: number, height: number): Plane {
  const [sx, sy] = [plane.width / width, plane.height / height];
  const values = Float64Array.from({ length: width * height }, (_, i) => {
    const [x0, y0] = [(i % width) * sx, Math.floor(i / width) * sy];
    let sum = 0;
    for (let y = Math.floor(y0); y < y0 + sy; y++) {
      const rows = Math.min(y + 1, y0 + sy) - Math.max(y, y0);
      for (let x = Math.floor(x0); x < x0 + sx; x++) {
        const columns = Math.min(x + 1, x0 + sx) - Math.max(x, x0);
        const at = Math.min(y, plane.height - 1) * plane.width + Math.min(x, plane.width - 1);
        sum += (plane.values[at] ?? 0) * rows * columns;
      }
    }
    return sum / (sx * sy);
  });
  return { width, height, values };
}

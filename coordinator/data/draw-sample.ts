import type { TensorSpec, TensorValues } from '../../shared/model/tensors.ts';

/** Characters from dark to light, for output that is no terminal. */
const RAMP = ' .:-=+*#%@';
/** Columns of a drawn image. */
const MAX_COLUMNS = 32;

/** Whether a tensor is drawn as an image: bytes of [height, width, 1, 3 or 4]. */
export const isDrawable = ({ dtype, shape: [, , channels = 0, ...others] }: TensorSpec): boolean =>
  dtype === 'uint8' && [1, 3, 4].includes(channels) && others.length === 0;

/**
 * Lines that show an image: two pixels a character, in their colors on a terminal, else as characters from dark to light.
 *
 * @param values [height, width, channels]
 * @example
 * ```ts
 * for (const line of drawImage(spec, values, process.stdout.isTTY)) console.log(line);
 * ```
 */
export function drawImage(
  { shape }: Pick<TensorSpec, 'shape'>,
  values: TensorValues,
  inColor: boolean,
): string[] {
  const [height = 0, width = 0, channels = 1] = shape;
  const columns = Math.min(width, MAX_COLUMNS);
  const scale = width / columns;
  const rows = Math.max(1, Math.round(height / scale));
  /** Mean of the pixels below a point of the drawing. */
  const colorAt = (row: number, column: number): [number, number, number] => {
    const top = Math.floor(row * scale);
    const left = Math.floor(column * scale);
    const bottom = Math.min(height, Math.max(top + 1, Math.floor((row + 1) * scale)));
    const right = Math.min(width, Math.max(left + 1, Math.floor((column + 1) * scale)));
    const sums = [0, 0, 0];
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        for (let c = 0; c < 3; c++)
          sums[c] = (sums[c] ?? 0) + (values[(y * width + x) * channels + (channels < 3 ? 0 : c)] ?? 0);
      }
    }
    const pixels = Math.max(1, (bottom - top) * (right - left));
    const [red = 0, green = 0, blue = 0] = sums.map((sum) => Math.round(sum / pixels));
    return [red, green, blue];
  };
  const lines: string[] = [];
  for (let row = 0; row < rows; row += 2) {
    let line = '';
    for (let column = 0; column < columns; column++) {
      const upper = colorAt(row, column);
      const lower = row + 1 < rows ? colorAt(row + 1, column) : upper;
      line += inColor
        ? `\u001b[38;2;${upper.join(';')}m\u001b[48;2;${lower.join(';')}m▀`
        : shade([upper, lower]);
    }
    lines.push(inColor ? `${line}\u001b[0m` : line.trimEnd());
  }
  return lines;
}

/** Character for the mean brightness of two pixels. */
function shade(pixels: readonly (readonly [number, number, number])[]): string {
  const luma = pixels.reduce((sum, [r, g, b]) => sum + 0.299 * r + 0.587 * g + 0.114 * b, 0) / pixels.length;
  return RAMP[Math.min(RAMP.length - 1, Math.floor((luma / 256) * RAMP.length))] ?? ' ';
}

/** Places drawings beside each other. @param width columns of each */
export function besideEachOther(
  drawings: readonly (readonly string[])[],
  width: number,
  inColor: boolean,
): string[] {
  const rows = Math.max(...drawings.map(({ length }) => length));
  return Array.from({ length: rows }, (_, row) =>
    drawings
      .map((lines) => {
        const line = lines[row] ?? '';
        return inColor && line !== '' ? line : line.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}

/** Columns that drawImage takes for a tensor. */
export const drawnWidth = ({ shape: [, width = 0] }: Pick<TensorSpec, 'shape'>): number =>
  Math.min(width, MAX_COLUMNS);

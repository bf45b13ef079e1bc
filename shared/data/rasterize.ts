/** Points in pixel coordinates: x0, y0, x1, y1, ... with x to the right and y down from the top left corner. */
export type Polyline = readonly number[];

export interface Pen {
  /** Half of the stroke's width, in pixels. */
  readonly radius: number;
  /** Width in pixels of the stroke's soft edge; about 1 is plain anti-aliasing. */
  readonly edge: number;
  /** 0 to 255. */
  readonly ink: number;
}

/**
 * Draws a polyline with round ends and joints into a gray image. The distance of a pixel's center to the line decides its
 * ink; a pixel keeps its previous value if that is larger.
 *
 * @param image height x width bytes, row-major, written in place
 */
export function drawPolyline(
  image: Uint8Array,
  width: number,
  height: number,
  line: Polyline,
  pen: Pen,
): void {
  const { radius, edge, ink } = pen;
  const reach = radius + edge / 2;
  for (let at = 0; at + 3 < line.length; at += 2) {
    const x0 = line[at] as number;
    const y0 = line[at + 1] as number;
    const dx = (line[at + 2] as number) - x0;
    const dy = (line[at + 3] as number) - y0;
    const perSquaredLength = 1 / Math.max(dx * dx + dy * dy, 1e-9);
    // Pixel (column, row) has its center at (column + 0.5, row + 0.5).
    const firstColumn = Math.max(0, Math.floor(Math.min(x0, x0 + dx) - reach));
    const lastColumn = Math.min(width - 1, Math.floor(Math.max(x0, x0 + dx) + reach));
    const firstRow = Math.max(0, Math.floor(Math.min(y0, y0 + dy) - reach));
    const lastRow = Math.min(height - 1, Math.floor(Math.max(y0, y0 + dy) + reach));
    for (let row = firstRow; row <= lastRow; row++) {
      for (let column = firstColumn; column <= lastColumn; column++) {
        const px = column + 0.5 - x0;
        const py = row + 0.5 - y0;
        const along = Math.min(1, Math.max(0, (px * dx + py * dy) * perSquaredLength));
        const ox = px - along * dx;
        const oy = py - along * dy;
        const squaredDistance = ox * ox + oy * oy;
        if (squaredDistance >= reach * reach) continue;
        const coverage = Math.min(1, (reach - Math.sqrt(squaredDistance)) / edge);
        const value = Math.round(ink * coverage);
        const index = row * width + column;
        if (value > (image[index] as number)) image[index] = value;
      }
    }
  }
}

/**
 * Smooth curve through control points (a uniform Catmull-Rom spline) as a polyline.
 *
 * @param closed whether the curve joins the last point to the first
 * @param segments straight segments between two control points
 */
export function smooth(points: Polyline, closed: boolean, segments: number): number[] {
  const count = points.length / 2;
  const x = (index: number): number => points[2 * wrap(index)] as number;
  const y = (index: number): number => points[2 * wrap(index) + 1] as number;
  const wrap = (index: number): number =>
    closed ? (index + count) % count : Math.min(count - 1, Math.max(0, index));
  const curve: number[] = [x(0), y(0)];
  for (let i = 0; i < (closed ? count : count - 1); i++) {
    for (let segment = 1; segment <= segments; segment++) {
      const t = segment / segments;
      curve.push(
        catmullRom(x(i - 1), x(i), x(i + 1), x(i + 2), t),
        catmullRom(y(i - 1), y(i), y(i + 1), y(i + 2), t),
      );
    }
  }
  return curve;
}

function catmullRom(before: number, from: number, to: number, after: number, t: number): number {
  const a = to - before;
  const b = 2 * before - 5 * from + 4 * to - after;
  const c = 3 * (from - to) + after - before;
  return from + 0.5 * t * (a + t * (b + t * c));
}

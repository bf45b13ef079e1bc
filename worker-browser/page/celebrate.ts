/** Pieces of paper that fall. */
const PIECES = 140;
const DURATION_MS = 3_500;
const COLORS = ['--band-0', '--band-1', '--band-2', '--band-3', '--band-4', '--band-5'];

interface Piece {
  readonly x: number;
  readonly delay: number;
  readonly drift: number;
  readonly spin: number;
  readonly size: number;
  readonly color: string;
}

/**
 * Lets paper fall over the page for some seconds. Nothing happens for people who have asked for less motion, or in a hidden tab. Clicks
 * go through it, and it says nothing: the page's texts do.
 */
export function celebrate(): void {
  if (document.hidden || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const canvas = document.createElement('canvas');
  canvas.className = 'confetti';
  canvas.setAttribute('aria-hidden', 'true');
  canvas.width = innerWidth;
  canvas.height = innerHeight;
  const context = canvas.getContext('2d');
  if (context === null) return;
  document.body.append(canvas);
  const style = getComputedStyle(document.documentElement);
  const colors = COLORS.map((name) => style.getPropertyValue(name).trim());
  const pieces = Array.from({ length: PIECES }, (_, i) => createPiece(colors[i % colors.length] ?? ''));
  const startMs = performance.now();
  const draw = (): void => {
    const part = (performance.now() - startMs) / DURATION_MS;
    if (part >= 1) {
      canvas.remove();
      return;
    }
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.globalAlpha = Math.min(1, 4 * (1 - part));
    for (const piece of pieces) drawPiece(context, piece, part);
    requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
}

const createPiece = (color: string): Piece => ({
  x: Math.random(),
  delay: Math.random() * 0.4,
  drift: (Math.random() - 0.5) * 0.2,
  spin: (Math.random() - 0.5) * 20,
  size: 5 + Math.random() * 7,
  color,
});

/** @param part of the whole time that has passed, 0 to 1 */
function drawPiece(context: CanvasRenderingContext2D, piece: Piece, part: number): void {
  const fallen = part - piece.delay;
  if (fallen < 0) return;
  const { width, height } = context.canvas;
  context.save();
  context.translate((piece.x + piece.drift * fallen) * width, (2 * fallen ** 1.3 - 0.05) * height);
  context.rotate(piece.spin * fallen);
  context.fillStyle = piece.color;
  context.fillRect(-piece.size / 2, -piece.size / 4, piece.size, piece.size / 2);
  context.restore();
}

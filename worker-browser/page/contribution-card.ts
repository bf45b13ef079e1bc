import { metricOf } from '../../shared/protocol/messages.ts';
import { shownMetric, smoothValues } from './curves.ts';
import { formatCount, formatMetric } from './format.ts';
import type { RunState } from './run-state.ts';

/** Texts and curve of the picture that a person shares. */
export interface Card {
  readonly title: string;
  readonly figures: readonly { readonly value: string; readonly label: string }[];
  /** Smoothed loss, 0 to 1 of its range, from left to right. */
  readonly curve: readonly number[];
  /** The same in a sentence, for those who do not see it. */
  readonly text: string;
}

/** Card of this tab's part in a run; null before it has computed anything. */
export function createCard({ job, ownRow, epochs, curve }: RunState): Card | null {
  if (job === null || ownRow === null || ownRow.samples === 0) return null;
  const last = epochs.at(-1);
  const metric = shownMetric(curve.at(-1)?.metrics);
  const score = metricOf(last, `val_${metric}`);
  const figures = [
    { value: formatCount(ownRow.samples), label: 'samples, in my browser' },
    ...(score === null
      ? []
      : [{ value: formatMetric(metric, score), label: `validation ${metric.replaceAll('_', ' ')}` }]),
    ...(last === undefined
      ? []
      : [{ value: formatCount(last.epoch), label: last.epoch === 1 ? 'epoch' : 'epochs' }]),
  ];
  const losses = smoothValues(curve.map(({ loss }) => loss).filter(Number.isFinite));
  const low = Math.min(...losses);
  const range = Math.max(...losses) - low || 1;
  const title = DIGITS.has(job.data.name)
    ? 'I helped to train a network that reads digits'
    : `I helped to train a network on ${job.data.name.slice(0, 40)}`;
  return {
    title,
    figures,
    curve: losses.map((loss) => (loss - low) / range),
    text: `${title}: ${figures.map(({ value, label }) => `${value} ${label}`).join(', ')}.`,
  };
}

/** Names of data sets of handwritten digits. */
const DIGITS: ReadonlySet<string> = new Set(['mnist', 'drawn-digits']);

/** Pixels of a card; the format that social sites show whole. */
export const CARD_WIDTH = 1_200;
export const CARD_HEIGHT = 630;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
const COLORS = { top: '#0d3b31', bottom: '#061a15', text: '#ffffff', muted: '#a9d8c9', curve: '#63d0b1' };
const MARGIN = 72;
/** Pixels between two figures. */
const FIGURE_GAP = 32;

interface TextStyle {
  readonly size: number;
  readonly color: string;
  readonly weight?: number;
  readonly maxWidth: number;
}

/** The part of CanvasRenderingContext2D that a card is drawn with. */
export interface CardContext {
  font: string;
  fillStyle: unknown;
  strokeStyle: unknown;
  lineWidth: number;
  lineJoin: string;
  globalAlpha: number;
  createLinearGradient(x0: number, y0: number, x1: number, y1: number): CardGradient;
  fillRect(x: number, y: number, width: number, height: number): void;
  fillText(text: string, x: number, y: number, maxWidth: number): void;
  beginPath(): void;
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  stroke(): void;
  fill(): void;
}

interface CardGradient {
  addColorStop(offset: number, color: string): void;
}

/** Draws a card on a canvas of CARD_WIDTH and CARD_HEIGHT. */
export function drawCard(context: CardContext, { title, figures, curve }: Card): void {
  const gradient = context.createLinearGradient(0, 0, 0, CARD_HEIGHT);
  gradient.addColorStop(0, COLORS.top);
  gradient.addColorStop(1, COLORS.bottom);
  context.fillStyle = gradient;
  context.fillRect(0, 0, CARD_WIDTH, CARD_HEIGHT);
  drawCurve(context, curve);
  const width = CARD_WIDTH - 2 * MARGIN;
  const write = (text: string, [x, y]: readonly [number, number], style: TextStyle): void => {
    context.font = `${style.weight ?? 400} ${style.size}px ${FONT}`;
    context.fillStyle = style.color;
    context.fillText(text, x, y, style.maxWidth);
  };
  write('gradcast', [MARGIN, MARGIN + 24], {
    size: 32,
    color: COLORS.muted,
    weight: 600,
    maxWidth: width,
  });
  write(title, [MARGIN, MARGIN + 120], { size: 48, color: COLORS.text, weight: 700, maxWidth: width });
  const column = width / Math.max(1, figures.length);
  // A longer text is drawn narrower, and does not reach the next one.
  const maxWidth = column - FIGURE_GAP;
  figures.forEach(({ value, label }, i) => {
    const x = MARGIN + i * column;
    write(value, [x, MARGIN + 250], { size: 56, color: COLORS.text, weight: 700, maxWidth });
    write(label, [x, MARGIN + 290], { size: 24, color: COLORS.muted, maxWidth });
  });
}

/** The loss as a line along the lower edge, with the area below it. */
function drawCurve(context: CardContext, curve: readonly number[]): void {
  if (curve.length < 2) return;
  const top = CARD_HEIGHT - 220;
  const bottom = CARD_HEIGHT - 50;
  context.beginPath();
  curve.forEach((value, i) => {
    const x = (i / (curve.length - 1)) * CARD_WIDTH;
    const y = bottom - value * (bottom - top);
    if (i === 0) context.moveTo(x, y);
    else context.lineTo(x, y);
  });
  context.strokeStyle = COLORS.curve;
  context.lineWidth = 5;
  context.lineJoin = 'round';
  context.stroke();
  context.lineTo(CARD_WIDTH, CARD_HEIGHT);
  context.lineTo(0, CARD_HEIGHT);
  context.globalAlpha = 0.15;
  context.fillStyle = COLORS.curve;
  context.fill();
  context.globalAlpha = 1;
}

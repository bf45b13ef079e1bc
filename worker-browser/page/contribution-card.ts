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
    { value: formatCount(ownRow.samples), label: 'samples computed in my browser' },
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
  const title = `I helped to train ${job.data.name.slice(0, 40)}`;
  return {
    title,
    figures,
    curve: losses.map((loss) => (loss - low) / range),
    text: `${title}: ${figures.map(({ value, label }) => `${value} ${label}`).join(', ')}.`,
  };
}

/** Pixels of a card; the format that social sites show whole. */
export const CARD_WIDTH = 1_200;
export const CARD_HEIGHT = 630;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
const COLORS = { top: '#0d3b31', bottom: '#061a15', text: '#ffffff', muted: '#a9d8c9', curve: '#63d0b1' };
const MARGIN = 72;

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
  const write = (text: string, size: number, x: number, y: number, color: string, weight = 400): void => {
    context.font = `${weight} ${size}px ${FONT}`;
    context.fillStyle = color;
    context.fillText(text, x, y, CARD_WIDTH - MARGIN - x);
  };
  write('gradcast', 32, MARGIN, MARGIN + 24, COLORS.muted, 600);
  write(title, 64, MARGIN, MARGIN + 120, COLORS.text, 700);
  const width = (CARD_WIDTH - 2 * MARGIN) / Math.max(1, figures.length);
  figures.forEach(({ value, label }, i) => {
    write(value, 56, MARGIN + i * width, MARGIN + 250, COLORS.text, 700);
    write(label, 24, MARGIN + i * width, MARGIN + 290, COLORS.muted);
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

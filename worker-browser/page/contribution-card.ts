import { metricOf } from '../../shared/protocol/messages.ts';
import { shownMetric, smoothValues } from './curves.ts';
import { contributionOf, formatPart } from './contribution.ts';
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
export function createCard(run: RunState): Card | null {
  const { job, epochs, curve } = run;
  const { samples, part } = contributionOf(run);
  if (job === null || samples === null || samples === 0) return null;
  const last = epochs.at(-1);
  const metric = shownMetric(curve.at(-1)?.metrics);
  const score = metricOf(last, `val_${metric}`);
  const figures = [
    { value: formatCount(samples), label: 'samples computed' },
    ...(part === null ? [] : [{ value: formatPart(part), label: 'of all samples' }]),
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
    ? 'I helped to train a network that reads handwritten digits'
    : `I helped to train a network on ${job.data.name}`;
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
/** A title in smaller letters would not be read; a longer one ends with an ellipsis. */
const TITLE_SIZE = 48;
const MAX_TITLE_LINES = 2;

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
  measureText(text: string): { readonly width: number };
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
  const fontOf = ({ size, weight = 400 }: Pick<TextStyle, 'size' | 'weight'>): string =>
    `${weight} ${size}px ${FONT}`;
  const widthOf = (text: string, size: number, weight: number): number => {
    context.font = fontOf({ size, weight });
    return context.measureText(text).width;
  };
  const write = (text: string, [x, y]: readonly [number, number], style: TextStyle): void => {
    context.font = fontOf(style);
    context.fillStyle = style.color;
    context.fillText(text, x, y, style.maxWidth);
  };
  const { text: color, muted } = COLORS;
  write('gradcast', [MARGIN, MARGIN + 16], { size: 32, color: muted, weight: 600, maxWidth: width });
  const fits = (line: string): boolean => widthOf(line, TITLE_SIZE, 700) <= width;
  breakLines(title, fits).forEach((line, i) =>
    write(line, [MARGIN, MARGIN + 100 + i * 58], { size: TITLE_SIZE, color, weight: 700, maxWidth: width }),
  );
  const column = width / Math.max(1, figures.length);
  const maxWidth = column - FIGURE_GAP;
  /** Largest size up to this one at which each text is within its column: all of a line have letters of one size. */
  const fittingSize = (texts: readonly string[], size: number, weight: number): number =>
    Math.floor(size * Math.min(1, ...texts.map((text) => maxWidth / widthOf(text, size, weight))));
  const valueSize = fittingSize(
    figures.map(({ value }) => value),
    56,
    700,
  );
  const labelSize = fittingSize(
    figures.map(({ label }) => label),
    24,
    400,
  );
  figures.forEach(({ value, label }, i) => {
    const x = MARGIN + i * column;
    write(value, [x, MARGIN + 256], { size: valueSize, color, weight: 700, maxWidth });
    write(label, [x, MARGIN + 296], { size: labelSize, color: muted, maxWidth });
  });
}

/** Lines of a title, broken between words where that is possible. */
function breakLines(title: string, fits: (line: string) => boolean): string[] {
  const lines: string[] = [];
  let rest = title;
  while (rest !== '') {
    const isLast = lines.length === MAX_TITLE_LINES - 1;
    let line = rest;
    if (!fits(line)) {
      const end = isLast ? '…' : '';
      while (line !== '' && !fits(line + end)) line = line.slice(0, -1);
      const space = line.lastIndexOf(' ');
      // Not so early that the line is nearly empty: a single long word is broken itself.
      if (rest[line.length] !== ' ' && space > line.length / 2) line = line.slice(0, space);
      // At least one character, or this would not end.
      if (line === '') line = rest.slice(0, 1);
      lines.push(line.trimEnd() + end);
    } else lines.push(line);
    if (isLast) break;
    rest = rest.slice(line.length).trimStart();
  }
  return lines;
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

import { expect, it } from 'vitest';
import {
  CARD_HEIGHT,
  CARD_WIDTH,
  createCard,
  drawCard,
  type Card,
  type CardContext,
} from '../../../worker-browser/page/contribution-card.ts';
import { job, point, progress, received, record, runMessage, stateAfter, worker } from './run-fixtures.ts';

const stateOf = (samples: number, name = 'mnist', others = samples * 3) =>
  stateAfter(
    received(runMessage([point(1, 2), point(2, 1)], { ...job, data: { ...job.data, name } })),
    { type: 'ownId', id: 'a' },
    received(progress({ workers: [worker('a', { samples }), worker('b', { samples: others })] })),
    received({ type: 'epoch', record }),
  );

interface Box {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly size: number;
}

/** Draws a card with letters of a width relative to their size. @returns where texts and lines are */
function draw(card: Card, letterWidth: number): { boxes: Box[]; points: [number, number][] } {
  const boxes: Box[] = [];
  const points: [number, number][] = [];
  const context = {
    font: '',
    createLinearGradient: () => ({ addColorStop: () => undefined }),
    fillRect: () => undefined,
    measureText: (text: string) => ({ width: text.length * letterWidth * sizeOf(context.font) }),
    fillText(text: string, x: number, y: number, maxWidth: number) {
      const { width } = context.measureText(text);
      // A browser squeezes a text that is wider.
      expect(width, text).toBeLessThanOrEqual(maxWidth + 0.01);
      boxes.push({ text, x, y, width, size: sizeOf(context.font) });
    },
    moveTo: (x: number, y: number) => void points.push([x, y]),
    lineTo: (x: number, y: number) => void points.push([x, y]),
    beginPath: () => undefined,
    stroke: () => undefined,
    fill: () => undefined,
  };
  drawCard(context as unknown as CardContext, card);
  return { boxes, points };
}

const sizeOf = (font: string): number => Number(/(\d+)px/.exec(font)?.[1]);

it('tells what this tab has computed, what part that is, and how good the model is', () => {
  const card = createCard(stateOf(12_345))!;
  expect(card.text).toBe(
    'I helped to train a network that reads handwritten digits: ' +
      '12,345 samples computed, 25% of all samples, 90% validation accuracy, 1 epoch.',
  );
  expect(Math.max(...card.curve)).toBe(1);
  expect(Math.min(...card.curve)).toBe(0);
  expect(createCard(stateOf(5, 'houses.csv'))!.title).toBe('I helped to train a network on houses.csv');
});

it('leaves out the part of all samples where the page does not know all workers', () => {
  const workers = [worker('a', { samples: 5 })];
  const state = stateAfter(
    received(runMessage()),
    { type: 'ownId', id: 'a' },
    received(progress({ workers, workerCount: 3_000 })),
  );
  expect(createCard(state)!.figures).toEqual([{ value: '5', label: 'samples computed' }]);
});

it.each([
  ['usual figures', 12_345, 'mnist', 0.5],
  ['large figures', 123_456_789_012, 'mnist', 0.6],
  ['wide letters', 123_456_789_012, 'drawn-digits', 1],
  ['a long name', 1, 'measurements of the houses of the whole town and of its suburbs '.repeat(3), 0.55],
  ['a name without a space', 1, 'x'.repeat(200), 0.55],
])('has no two texts that overlap: %s', (_, samples, name, letterWidth) => {
  const { boxes, points } = draw(createCard(stateOf(samples, name))!, letterWidth);
  for (const box of boxes)
    for (const other of boxes.filter((each) => each !== box)) {
      const isBeside = box.x + box.width < other.x || other.x + other.width < box.x;
      // Letters reach a fifth of their size below their line.
      const isAbove = box.y + box.size / 5 <= other.y - other.size * 0.8;
      const isBelow = other.y + other.size / 5 <= box.y - box.size * 0.8;
      expect(isBeside || isAbove || isBelow, `${box.text} and ${other.text}`).toBe(true);
    }
  for (const { x, y, width } of boxes) points.push([x, y], [x + width, y]);
  expect(points.every(([x, y]) => x >= 0 && x <= CARD_WIDTH && y >= 0 && y <= CARD_HEIGHT)).toBe(true);
});

it('shortens a title only if it has more than two lines', () => {
  const linesOf = (name: string): string[] =>
    draw(createCard(stateOf(1, name))!, 0.55)
      .boxes.filter(({ size }) => size === 48)
      .map(({ text }) => text);
  expect(linesOf('mnist').join(' ')).toBe('I helped to train a network that reads handwritten digits');
  expect(linesOf('x'.repeat(200)).join(' ')).toMatch(/^I helped to train a network on x+…$/);
});

it('is missing until this tab has computed something', () => {
  expect(createCard(stateAfter(received(runMessage())))).toBeNull();
  const joined = stateAfter(
    received(runMessage()),
    { type: 'ownId', id: 'a' },
    received(progress({ workers: [worker('a', { samples: 0 })] })),
  );
  expect(createCard(joined)).toBeNull();
});

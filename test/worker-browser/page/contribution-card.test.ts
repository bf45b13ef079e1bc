import { expect, it } from 'vitest';
import {
  CARD_HEIGHT,
  CARD_WIDTH,
  createCard,
  drawCard,
  type CardContext,
} from '../../../worker-browser/page/contribution-card.ts';
import { point, progress, received, record, runMessage, stateAfter, worker } from './run-fixtures.ts';

it('tells what this tab has computed, and how good the model is', () => {
  const state = stateAfter(
    received(runMessage([point(1, 2), point(2, 1)])),
    { type: 'ownId', id: 'a' },
    received(progress({ workers: [worker('a', { samples: 12_345 })] })),
    received({ type: 'epoch', record }),
  );
  const card = createCard(state)!;
  expect(card.text).toBe(
    'I helped to train a network that reads digits: 12,345 samples, in my browser, 90% validation accuracy, 1 epoch.',
  );
  expect(Math.max(...card.curve)).toBe(1);
  expect(Math.min(...card.curve)).toBe(0);

  const written: string[] = [];
  const points: [number, number][] = [];
  const boxes: { readonly x: number; readonly y: number; readonly maxWidth: number }[] = [];
  drawCard(
    {
      createLinearGradient: () => ({ addColorStop: () => undefined }),
      fillRect: () => undefined,
      fillText(text: string, x: number, y: number, maxWidth: number) {
        written.push(text);
        points.push([x, y], [x + maxWidth, y]);
        boxes.push({ x, y, maxWidth });
      },
      moveTo: (x: number, y: number) => void points.push([x, y]),
      lineTo: (x: number, y: number) => void points.push([x, y]),
      beginPath: () => undefined,
      stroke: () => undefined,
      fill: () => undefined,
    } as unknown as CardContext,
    card,
  );
  expect(written).toContain('12,345');
  // However long the texts are, none reaches the next one on its line.
  for (const { x, y, maxWidth } of boxes)
    for (const other of boxes.filter((each) => each.y === y && each.x > x))
      expect(x + maxWidth).toBeLessThan(other.x);
  expect(points.every(([x, y]) => x >= 0 && x <= CARD_WIDTH && y >= 0 && y <= CARD_HEIGHT)).toBe(true);
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

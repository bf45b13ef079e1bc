import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeInBrowser } from '../support/in-browser.ts';
import {
  drawOne,
  countInk,
  policyViolations,
  startPageRun,
  sumOfBars,
  waitForText,
  type PageRun,
} from './page-run.ts';

/** Records the distances of the drawing from the top of the page, frame by frame. */
const RECORD_PLACES = `places = [];
const record = () => {
  const pad = document.getElementById('pad')?.getBoundingClientRect();
  if (pad?.height > 0 && places.at(-1) !== pad.top + scrollY) places.push(pad.top + scrollY);
  requestAnimationFrame(record);
};
record();`;

/** Shortest and longest texts above the drawing, by the element, that alternate while a tab joins and contributes. */
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  headline: ['Training together', 'Training together on a-folder-of-pictures'],
  purpose: [
    'Many devices train one neural network together.',
    'Many devices train one neural network together. This tab computes a part of every step; nothing is installed.',
  ],
  summary: ['', '1,000 workers · 123,456 samples a second · 98.9% validation accuracy'],
  detail: [
    'Almost there.',
    'This tab computes its share of every batch.',
    'The run is faster without this tab for now. It is tried again later.',
  ],
  'own-samples': ['–', '999,999,999'],
  'own-part': ['', ' samples, less than 1% of all'],
  'own-speed': ['–', '123,456'],
  'own-share': ['–', '100%'],
  'drawing-hint': [
    'The current model reads your drawing live, in this browser.',
    'The model reads your drawing in this browser, from its first step on.',
  ],
};

/** Puts each text into its element in turn, and back. @returns the distances of the drawing from the top of the page, by element */
const PLACES_BY_TEXT = `(texts) => Object.entries(texts).map(([id, all]) => {
  const target = document.getElementById(id);
  const before = target.textContent;
  const places = all.map((text) => {
    target.textContent = text;
    return document.getElementById('pad').getBoundingClientRect().top + scrollY;
  });
  target.textContent = before;
  return [id, [...new Set(places)]];
})`;

describeInBrowser('the page in Chromium', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  test('a tab joins, contributes, shows the run, reads a drawing, pauses and continues', async () => {
    const { page, errors } = await run.open('');
    await waitForText(page, '#state', /^Contributing$/);
    await waitForText(page, '#own-samples', /[1-9]/);
    await waitForText(page, '#headline', /drawn-digits/);
    await waitForText(page, '#epoch', /^Epoch \d+ of 100,000 · step \d+ of 10$/);
    await page.locator('#workers .own').filter({ hasText: 'this tab' }).waitFor();
    await expect.poll(() => countInk(page, '#loss-plot'), { timeout: 20_000 }).toBeGreaterThan(500);
    await expect.poll(() => countInk(page, '#accuracy-plot'), { timeout: 20_000 }).toBeGreaterThan(500);

    await drawOne(page);
    await expect.poll(() => sumOfBars(page), { timeout: 20_000 }).toBeGreaterThanOrEqual(95);
    expect(await page.locator('#bars .best').count()).toBe(1);
    await waitForText(page, '#prediction', /^The model (reads \d|is not sure: perhaps \d)\.$/);
    await page.getByRole('button', { name: 'Clear' }).click();
    await expect.poll(() => sumOfBars(page)).toBe(0);

    await page.locator('label', { hasText: '25%' }).click();
    expect(await page.evaluate("localStorage.getItem('gradcast.share')")).toBe('25');

    await page.getByRole('button', { name: 'Pause' }).press('Enter');
    await waitForText(page, '#state', /^Paused$/);
    await expect.poll(() => run.coordinator.pool.workers.size).toBe(0);
    await page.getByRole('button', { name: 'Continue' }).click();
    await waitForText(page, '#state', /^Contributing$/);
    await waitForText(page, '#own-samples', /[1-9]/);

    expect(await policyViolations(page)).toEqual([]);
    expect(errors).toEqual([]);
  }, 120_000);

  test('the drawing stays where it is while the tab joins, so that a pointer on its way does not miss it', async () => {
    const { page, errors } = await run.open('', RECORD_PLACES);
    await waitForText(page, '#own-part', /samples, \d+% of all/);
    await waitForText(page, '#engine', /samples\/s in a benchmark/);
    // A busy machine shows the drawing late, and draws few frames.
    await expect.poll(() => page.evaluate<number>('places.length')).toBeGreaterThan(0);
    expect(await page.evaluate<number[]>('places')).toHaveLength(1);
    expect(errors).toEqual([]);
  }, 120_000);

  test('no text above the drawing moves it, on a desktop, a tablet and phones', async () => {
    const { page } = await run.open('');
    await waitForText(page, '#own-part', /samples, \d+% of all/);
    for (const width of [1280, 800, 390, 320]) {
      await page.setViewportSize({ width, height: 900 });
      const places = await page.evaluate<[string, number[]][]>(
        `(${PLACES_BY_TEXT})(${JSON.stringify(TEXTS)})`,
      );
      expect(places).toHaveLength(Object.keys(TEXTS).length);
      for (const [id, all] of places) expect(all, `#${id} at ${width} px`).toHaveLength(1);
    }
  }, 120_000);

  test('a tab over plain http from another machine contributes, reads drawings, watches and joins again', async () => {
    const { page, errors } = await run.open('', '', run.plainAddress);
    expect(await page.evaluate('isSecureContext')).toBe(false);
    await waitForText(page, '#state', /^Contributing$/);
    await drawOne(page);
    await expect.poll(() => sumOfBars(page), { timeout: 20_000 }).toBeGreaterThanOrEqual(95);

    await page.getByRole('button', { name: 'Only watch' }).click();
    await waitForText(page, '#state', /^Watching$/);
    await expect.poll(() => run.coordinator.pool.workers.size).toBe(0);
    await page.getByRole('button', { name: 'Clear' }).click();
    await drawOne(page);
    await expect.poll(() => sumOfBars(page), { timeout: 20_000 }).toBeGreaterThanOrEqual(95);

    await page.getByRole('button', { name: 'Join in' }).click();
    await waitForText(page, '#state', /^Contributing$/);
    await expect.poll(() => run.coordinator.pool.workers.size).toBe(1);
    await page.reload();
    await waitForText(page, '#state', /^Contributing$/);
    expect(await policyViolations(page)).toEqual([]);
    expect(errors).toEqual([]);
  }, 120_000);
});

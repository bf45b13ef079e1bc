import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { NO_GPU, openChromium } from '../support/chromium.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { serveObservedRun, type ObservedRun } from '../support/observed-workers.ts';
import { collectPageErrors } from '../support/page-errors.ts';
import { waitForText } from './page-run.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** More than the rows of any viewport with some beyond its edges. */
const MAX_ROWS_IN_DOCUMENT = 40;
/** The page draws at the next frame, and rows of many workers are sent every two seconds. */
const eventually = <T>(read: () => Promise<T>) => expect.poll(read, { timeout: 20_000 });

describeInBrowser('the table of workers in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => void (browser = await openChromium(NO_GPU)));
  afterAll(() => browser.close());

  /** A page that watches a run of so many workers. */
  async function watch(count: number, viewport = { width: 1280, height: 900 }) {
    const run = await serveObservedRun(count);
    onTestFinished(() => run.close());
    for (let i = 0; i < 3; i++) run.finishStep();
    // Axe is injected by eval, which the page's security policy forbids.
    const page = await browser.newPage({ viewport, bypassCSP: true });
    onTestFinished(() => page.close());
    const errors = collectPageErrors(page);
    await page.goto(`${run.address}/?watch`);
    await waitForText(page, '#workers-title', /worker/);
    return { run, page, errors };
  }

  const rows = (page: Page) => page.locator('#worker-rows [role="row"]');
  const rowOf = (page: Page, name: string) =>
    rows(page).filter({ has: page.locator('strong').getByText(name, { exact: true }) });
  const firstNames = (page: Page, count: number) =>
    page.evaluate<string[]>(
      `[...document.querySelectorAll('#worker-rows strong')].slice(0, ${count}).map((name) => name.textContent)`,
    );
  const scrollTo = (page: Page, pixels: number) =>
    page.evaluate(`document.getElementById('workers').scrollTop = ${pixels}`);
  const scrollTop = (page: Page) => page.evaluate<number>(`document.getElementById('workers').scrollTop`);
  /** Figures of a step in the page: those of all rows are sent every two seconds. */
  async function nextFigures(page: Page, run: ObservedRun, name: string): Promise<void> {
    const samples = rowOf(page, name).locator('.samples > :last-child');
    const before = await samples.textContent();
    run.finishStep();
    await eventually(() => samples.textContent()).not.toBe(before);
  }
  async function checkAxe(page: Page): Promise<void> {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() =>
      (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
    );
    expect(violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)])).toEqual([]);
  }

  test('finds, sorts, groups and scrolls a thousand workers with few rows in the document', async () => {
    const { run, page, errors } = await watch(1_000);
    // Eight workers on each of 125 machines.
    const table = page.locator('#workers');
    await eventually(() => table.getAttribute('aria-rowcount')).toBe('126');
    expect(await rows(page).count()).toBeLessThan(MAX_ROWS_IN_DOCUMENT);
    await page.getByRole('button', { name: 'Worker', exact: true }).click();
    await eventually(() => firstNames(page, 3)).toEqual(['node0', 'node1', 'node2']);
    const node1 = page.getByRole('button', { name: 'node1', exact: true });
    await node1.press('Enter');
    await eventually(() => node1.getAttribute('aria-expanded')).toBe('true');
    await eventually(() => firstNames(page, 4)).toEqual(['node0', 'node1', 'node1-1', 'node1-2']);
    expect(await table.getAttribute('aria-rowcount')).toBe('134');
    await checkAxe(page);

    const search = page.getByRole('searchbox');
    await search.fill('node24 standby');
    await waitForText(page, '#worker-count', /^1 of 1,000$/);
    await eventually(() => firstNames(page, 2)).toEqual(['node24-2']);
    await search.fill('no such worker');
    await waitForText(page, '#worker-count', /^0 of 1,000: no worker matches$/);
    await eventually(() => rows(page).count()).toBe(0);
    await search.fill('');

    await page.getByRole('checkbox', { name: 'Group by machine' }).uncheck();
    await eventually(() => table.getAttribute('aria-rowcount')).toBe('1001');
    const header = page.getByRole('columnheader', { name: 'Round trip' });
    await header.getByRole('button').press('Space');
    await eventually(() => header.getAttribute('aria-sort')).toBe('descending');
    await header.getByRole('button').press('Space');
    await eventually(() => header.getAttribute('aria-sort')).toBe('ascending');
    const times = await rows(page).locator('.roundTrip > :last-child').allTextContents();
    const sorted = times.map(parseFloat);
    expect(sorted).toEqual([...sorted].sort((a, b) => a - b));

    // By the keyboard to the last row.
    await table.press('End');
    await eventually(() => rows(page).last().getAttribute('aria-rowindex')).toBe('1001');
    expect(await rows(page).count()).toBeLessThan(MAX_ROWS_IN_DOCUMENT);
    const bottom = async (of: Locator): Promise<number> => {
      const box = (await of.boundingBox())!;
      return box.y + box.height;
    };
    // The browser scrolls smoothly.
    const viewportEnd = await bottom(table);
    await eventually(() => bottom(rows(page).last())).toBeLessThanOrEqual(viewportEnd + 1);
    expect(run.workers.size).toBe(1_000);
    expect(errors).toEqual([]);
  }, 60_000);

  test('keeps what a person looks at while figures change and workers come and go', async () => {
    const { run, page, errors } = await watch(300);
    await page.getByRole('button', { name: 'Worker', exact: true }).click();
    const toggle = page.getByRole('button', { name: 'node0', exact: true });
    await toggle.press('Enter');
    await nextFigures(page, run, 'node0-1');
    const focused = () => page.evaluate<string>('document.activeElement.textContent');
    expect(await focused()).toBe('node0');

    await page.getByRole('checkbox', { name: 'Group by machine' }).uncheck();
    await eventually(() => page.locator('#workers').getAttribute('aria-rowcount')).toBe('301');
    await scrollTo(page, 64 * 100);
    const shown = rowOf(page, 'node12-8');
    await shown.waitFor();
    const { y } = (await shown.boundingBox())!;
    const [first] = run.workers.keys();
    run.workers.delete(first!);
    run.addWorker();
    await nextFigures(page, run, 'node12-8');
    // The list is scrolled by the row that has gone above.
    await eventually(() => scrollTop(page)).toBe(64 * 99);
    expect((await shown.boundingBox())!.y).toBe(y);
    expect(errors).toEqual([]);
  }, 60_000);

  test('with few workers has neither search nor groups, on a phone too', async () => {
    const { run, page, errors } = await watch(3, { width: 390, height: 844 });
    await eventually(() => rows(page).count()).toBe(3);
    expect(await page.locator('#worker-tools').isVisible()).toBe(false);
    while (run.workers.size < 21) run.addWorker();
    await page.getByRole('searchbox').waitFor();
    await page.getByRole('combobox', { name: 'Sort by' }).selectOption('Samples so far');
    await checkAxe(page);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
    run.workers.clear();
    await waitForText(page, '#workers-title', /^No workers connected$/);
    expect(await page.locator('#workers').isVisible()).toBe(false);
    expect(errors).toEqual([]);
  }, 60_000);
});

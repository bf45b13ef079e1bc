import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { NO_GPU, openChromium } from '../support/chromium.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkersReady,
  type TestCoordinator,
} from '../support/test-coordinator.ts';
import { attachWorker, trainObserved } from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { drawOne, sumOfBars, textIs } from './page-run.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 640, testCount: 64 });

/** A run of one epoch that has not begun. */
const start = (): Promise<TestCoordinator> =>
  testCoordinator(dataset, { topology: tinyTopology([28, 28, 1], 10), batchSize: 64, epochs: 1 });

const pageOf = ({ url }: TestCoordinator): string => url.replace('ws', 'http');

describeInBrowser('when the run is over', () => {
  let browser: Browser;
  beforeAll(async () => void (browser = await openChromium(NO_GPU)));
  afterAll(() => browser.close());

  async function open(address: string): Promise<Page> {
    const page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(address);
    return page;
  }

  async function readsADrawing(page: Page): Promise<void> {
    await drawOne(page);
    await expect.poll(() => sumOfBars(page), { timeout: 20_000 }).toBeGreaterThanOrEqual(95);
  }

  test('pages that watched or took part, and never drew, read with its last weights, without a coordinator', async () => {
    const coordinator = await start();
    // Nothing that is loaded later may come from the browser's cache.
    const watching = await open(`${pageOf(coordinator)}?watch`);
    const session = await watching.context().newCDPSession(watching);
    await session.send('Network.setCacheDisabled', { cacheDisabled: true });
    await textIs(watching, '#state', /^Watching$/);
    await expect.poll(() => watching.workers().length).toBe(2);
    const taking = await open(pageOf(coordinator));
    await waitForWorkersReady(coordinator, 1);
    await trainObserved(coordinator, dataset);
    await coordinator.close('The run is finished.');

    for (const page of [watching, taking]) {
      await textIs(
        page,
        '#link-note',
        /^Finished: validation accuracy \d+(\.\d)?%\. A new run will show up here\.$/,
      );
      expect(await page.locator('#eta').textContent()).toBe('');
      await readsADrawing(page);
    }
    await textIs(watching, '#state', /^The run is over$/);
    expect(await watching.locator('#toggle').isVisible()).toBe(false);
    await textIs(taking, '#state', /^The run is over$/);
    await textIs(taking, '#samples', /[1-9]/);
    await Promise.all([watching.close(), taking.close()]);
  }, 120_000);

  test('a page that is opened afterwards has figures and model, for as long as it is served', async () => {
    const coordinator = await start();
    const worker = attachWorker(coordinator.url, 'node', await wasmEngine());
    await waitForWorkersReady(coordinator, 1);
    await trainObserved(coordinator, dataset);
    coordinator.finish('The run is finished.');
    expect(await worker.ended).toBe('The run is finished.');

    const page = await open(pageOf(coordinator));
    await textIs(page, '#state', /^The run is over$/);
    await textIs(page, '#link-note', /^Finished: validation accuracy/);
    await textIs(page, '#accuracy', /%$/);
    await readsADrawing(page);
    await coordinator.close('The program ends.');
    await page.getByRole('button', { name: 'Clear' }).click();
    await readsADrawing(page);
    await textIs(page, '#link-note', /^Finished: validation accuracy/);
    await page.close();
  }, 120_000);
});

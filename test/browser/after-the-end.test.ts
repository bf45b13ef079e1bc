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
import { drawOne, sumOfBars, waitForText } from './page-run.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 640, testCount: 64 });

/** Coordinator of a run of one epoch that has not begun. */
const startCoordinator = (): Promise<TestCoordinator> =>
  testCoordinator(dataset, { topology: tinyTopology([28, 28, 1], 10), batchSize: 64, epochs: 1 });

const pageOf = ({ url }: TestCoordinator): string => url.replace('ws', 'http');

describeInBrowser('after the end of a run', () => {
  let browser: Browser;
  beforeAll(async () => void (browser = await openChromium(NO_GPU)));
  afterAll(() => browser.close());

  async function open(address: string): Promise<Page> {
    const page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(address);
    return page;
  }

  async function expectPrediction(page: Page): Promise<void> {
    await drawOne(page);
    await expect.poll(() => sumOfBars(page), { timeout: 20_000 }).toBeGreaterThanOrEqual(95);
  }

  test('pages that have watched or taken part read a drawing with the last weights, without a coordinator', async () => {
    const coordinator = await startCoordinator();
    // Without the cache a file that is loaded after the end would fail.
    const watching = await open(`${pageOf(coordinator)}?watch`);
    const session = await watching.context().newCDPSession(watching);
    await session.send('Network.setCacheDisabled', { cacheDisabled: true });
    await waitForText(watching, '#state', /^Watching$/);
    await expect.poll(() => watching.workers().length).toBe(2);
    const contributing = await open(pageOf(coordinator));
    await waitForWorkersReady(coordinator, 1);
    await trainObserved(coordinator, dataset);
    await coordinator.close('The run is finished.');

    for (const page of [watching, contributing]) {
      await waitForText(
        page,
        '#link-note',
        /^Finished: validation accuracy \d+(\.\d)?%\. A new run will show up here\.$/,
      );
      expect(await page.locator('#eta').textContent()).toBe('');
      await expectPrediction(page);
    }
    await waitForText(watching, '#state', /^The run is over$/);
    expect(await watching.locator('#main-button').isVisible()).toBe(false);
    expect(await watching.locator('#settings').isVisible()).toBe(false);
    await waitForText(contributing, '#state', /^The run is over$/);
    await waitForText(contributing, '#own-samples', /[1-9]/);
    await waitForText(contributing, '#own-part', /^ samples, 100% of all$/);
    for (const gone of ['#settings', '#own-speed', '#own-share'])
      expect(await contributing.locator(gone).isVisible(), gone).toBe(false);
    // What the person takes away is next to the state, and above what joins the next run in its look.
    expect(await contributing.locator('#tab + #keep').count()).toBe(1);
    const classOf = (name: string) => contributing.getByRole('button', { name }).getAttribute('class');
    expect(await classOf('Join the next run')).toBe('secondary');
    const keep = contributing.locator('#keep');
    await contributing.setViewportSize({ width: 390, height: 844 });
    await contributing.evaluate('scrollTo(0, 0)');
    for (const name of ['Download the model', 'Picture of your contribution']) {
      const box = (await keep.getByRole('button', { name }).boundingBox())!;
      expect(box.y + box.height, name).toBeLessThanOrEqual(844);
    }
    await Promise.all([watching.close(), contributing.close()]);
  }, 120_000);

  test('a page that is opened afterwards shows the figures and reads a drawing, while the coordinator still serves it', async () => {
    const coordinator = await startCoordinator();
    const worker = attachWorker(coordinator.url, 'node', await wasmEngine());
    await waitForWorkersReady(coordinator, 1);
    await trainObserved(coordinator, dataset);
    coordinator.finish('The run is finished.');
    expect(await worker.ended).toBe('The run is finished.');

    const page = await open(pageOf(coordinator));
    await waitForText(page, '#state', /^The run is over$/);
    await waitForText(page, '#link-note', /^Finished: validation accuracy/);
    await waitForText(page, '#accuracy', /%$/);
    await expectPrediction(page);
    await coordinator.close('The program ends.');
    await page.getByRole('button', { name: 'Clear' }).click();
    await expectPrediction(page);
    await waitForText(page, '#link-note', /^Finished: validation accuracy/);
    await page.close();
  }, 120_000);
});

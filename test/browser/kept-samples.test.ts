import { afterEach, expect, test, vi } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { openChromium } from '../support/chromium.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkersReady,
  type TestCoordinator,
} from '../support/test-coordinator.ts';
import { trainToEnd } from '../support/training-run.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const dataset = syntheticDigits({ seed: 1, trainCount: 2_000, testCount: 500 });
const ALL_SAMPLES = 2_500 * 785;

/** Bytes of samples in the page's IndexedDB. */
const STORED_BYTES = `new Promise((resolve, reject) => {
  const opening = indexedDB.open('gradcast-samples');
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const all = opening.result.transaction('datasets').objectStore('datasets').getAll();
    all.onsuccess = () => resolve(all.result.reduce((sum, { bytes }) => sum + bytes, 0));
  };
})`;

describeInBrowser('a tab that was closed', () => {
  const open: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });

  /** One epoch. @returns bytes that were sent to the tab during it */
  async function epoch(coordinator: TestCoordinator): Promise<number> {
    await waitForWorkersReady(coordinator, 1);
    const [worker] = [...coordinator.pool.workers.values()];
    const before = worker!.stats.bytesDown;
    await trainToEnd(coordinator, dataset);
    return worker!.stats.bytesDown - before;
  }

  test('has its samples when it is opened again', async () => {
    const browser = await openChromium();
    open.push(() => browser.close());
    const context = await browser.newContext();
    const start = async (port: number): Promise<TestCoordinator> => {
      const settings = { topology: tinyTopology([28, 28, 1], 10), batchSize: 500, epochs: 1, port };
      const coordinator = await testCoordinator(dataset, settings);
      open.push(() => coordinator.close('done'));
      return coordinator;
    };
    const first = await start(0);
    const page = await context.newPage();
    await page.goto(first.url.replace(/^ws/, 'http'));
    const sent = await epoch(first);
    expect(sent).toBeGreaterThan(ALL_SAMPLES);
    await expect.poll(() => page.evaluate<number>(STORED_BYTES)).toBe(ALL_SAMPLES);
    const { port } = new URL(first.url);
    await first.close('done');
    await page.close();
    // IndexedDB belongs to an origin, port included.
    const second = await start(Number(port));
    const again = await context.newPage();
    await again.goto(second.url.replace(/^ws/, 'http'));
    // The weights are sent as before, and the number of each sample.
    expect(await epoch(second)).toBeLessThan(sent - 0.99 * ALL_SAMPLES);
  });
});

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

/** Bytes of samples in the page's IndexedDB: those that are counted, and those that are there. */
const STORED_BYTES = `new Promise((resolve, reject) => {
  const opening = indexedDB.open('gradcast-samples');
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const stores = opening.result.transaction(['datasets', 'blocks']);
    const sizes = ['datasets', 'blocks'].map((name) => stores.objectStore(name).getAll());
    stores.oncomplete = () => {
      const [counted, blocks] = sizes.map(({ result }) => result);
      opening.result.close();
      resolve([
        counted.reduce((sum, { bytes }) => sum + bytes, 0),
        blocks.reduce((sum, { bytes }) => sum + bytes.length, 0),
      ]);
    };
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
    await expect.poll(() => page.evaluate(STORED_BYTES)).toEqual([ALL_SAMPLES, ALL_SAMPLES]);
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

  test('and another one store each sample once', async () => {
    const browser = await openChromium();
    open.push(() => browser.close());
    const context = await browser.newContext();
    const topology = tinyTopology([28, 28, 1], 10);
    const coordinator = await testCoordinator(dataset, { topology, batchSize: 500, epochs: 5 });
    open.push(() => coordinator.close('done'));
    const pages = [await context.newPage(), await context.newPage()];
    for (const page of pages) await page.goto(coordinator.url.replace(/^ws/, 'http'));
    await waitForWorkersReady(coordinator, 2);
    const sent = (): number[] =>
      [...coordinator.pool.workers.values()].map(({ stats: { bytesDown } }) => bytesDown);
    await trainToEnd(coordinator, dataset);
    // Both were sent more samples than there are, together.
    expect(sent().reduce((sum, bytes) => sum + bytes)).toBeGreaterThan(1.3 * ALL_SAMPLES);
    await coordinator.close('done');
    await expect.poll(() => pages[0]!.evaluate(STORED_BYTES)).toEqual([ALL_SAMPLES, ALL_SAMPLES]);
    for (const page of pages) await page.close();
  });
});

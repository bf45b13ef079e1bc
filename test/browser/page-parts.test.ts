import { readFileSync } from 'node:fs';
import { unzipSync } from 'fflate';
import type { Page, Request } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { readModel } from '../../shared/model/saved-model.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../support/test-coordinator.ts';
import { attachWorker, trainObserved } from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { policyViolations, startPageRun, waitForText, type PageRun } from './page-run.ts';

/** Bytes on the wire until a tab contributes. */
const MAX_FIRST_LOAD = 1.2e6;
const dataset = syntheticDigits({ seed: 1, trainCount: 640, testCount: 64 });

/** Saves what the button downloads. @returns its file name and bytes */
async function download(page: Page, button: string): Promise<{ name: string; bytes: Buffer }> {
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: button }).click();
  const file = await saved;
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
}

describeInBrowser('the parts of the page', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  test('a tab loads at most 1.2 MB until it contributes', async () => {
    const context = await run.browser.newContext();
    onTestFinished(() => context.close());
    let bytes = 0;
    const sizes: Promise<void>[] = [];
    const onFinished = (request: Request): void => {
      sizes.push(
        request.sizes().then(({ responseBodySize, responseHeadersSize }) => {
          bytes += responseBodySize + responseHeadersSize;
        }),
      );
    };
    context.on('requestfinished', onFinished);
    const page = await context.newPage();
    await page.goto(`${run.address}/#secret`);
    await waitForText(page, '#state', /^Contributing$/);
    // Later requests may end with the page, and have no size then.
    context.off('requestfinished', onFinished);
    await Promise.all(sizes);
    expect(bytes).toBeGreaterThan(50_000);
    expect(bytes).toBeLessThanOrEqual(MAX_FIRST_LOAD);
  }, 120_000);

  test('shows a step worker by worker, holds it, and zooms into the curves', async () => {
    const { page, errors } = await run.open('');
    await waitForText(page, '#timeline-rows .own .timeline-times', /computes [\d.]+\u00a0ms/);
    expect(await page.locator('#timeline-rows li').last().textContent()).toMatch(/^coordinator/);
    await page.getByRole('button', { name: 'Hold this step' }).click();
    const held = await page.locator('#timeline-title').textContent();
    expect(held).toMatch(/^Step \d+: [\d.]+\u00a0ms$/);
    const points = (): Promise<number> =>
      page.evaluate("Number(document.getElementById('own-samples').textContent.replace(/,/g, ''))");
    const before = await points();
    await expect.poll(points, { timeout: 30_000 }).toBeGreaterThan(before);
    expect(await page.locator('#timeline-title').textContent()).toBe(held);
    await page.getByRole('button', { name: 'Follow the run' }).click();
    await expect
      .poll(() => page.locator('#timeline-title').textContent(), { timeout: 30_000 })
      .not.toBe(held);
    await waitForText(page, '#throughput-legend', /this tab \d/);

    await page.locator('#loss-plot').scrollIntoViewIfNeeded();
    const plot = (await page.locator('#loss-plot .u-over').boundingBox())!;
    await page.mouse.move(plot.x + plot.width * 0.3, plot.y + 50);
    await page.mouse.down();
    await page.mouse.move(plot.x + plot.width * 0.6, plot.y + 50, { steps: 5 });
    await page.mouse.up();
    await page.getByRole('button', { name: 'Show the whole run' }).click();
    await page.getByRole('button', { name: 'Zoom to the last quarter' }).click();
    await page.locator('#loss-plot .u-over').dblclick();
    await page.getByRole('button', { name: 'Zoom to the last quarter' }).waitFor();
    expect(await policyViolations(page)).toEqual([]);
    expect(errors).toEqual([]);
  }, 120_000);

  test.each(['', '?watch'])(
    'predicts test samples, the worst first if asked (%s)',
    async (search) => {
      const { page, errors } = await run.open(search);
      await page.locator('#samples').scrollIntoViewIfNeeded();
      await waitForText(page, '#samples-text', /^\d+ of 64 test samples right\.$/);
      expect(await page.locator('#sample-grid li').count()).toBe(40);
      const cells = await page.locator('#confusion td:not(.corner)').allTextContents();
      expect(cells).toHaveLength(100);
      expect(cells.reduce((sum, text) => sum + Number(text), 0)).toBe(64);
      await page.locator('label', { hasText: 'Worst first' }).click();
      await page.locator('label', { hasText: 'In order' }).click();
      expect(errors).toEqual([]);
    },
    120_000,
  );

  test('gives the model as a file and the contribution as a picture, and the link to others', async () => {
    const { page, errors } = await run.open('');
    await waitForText(page, '#own-samples', /[1-9]/);
    const { name, bytes } = await download(page, 'Download the model');
    expect(name).toBe('drawn-digits-model.zip');
    const files = unzipSync(bytes);
    const model = await readModel('model', {
      text: (file) => Promise.resolve(new TextDecoder().decode(files[file])),
      bytes: (file) => Promise.resolve(files[file]!),
    });
    expect(model.weights).toHaveLength(28 * 28 * 10 + 10);
    expect(model.weights.some((value) => value !== run.coordinator.initialWeights[0])).toBe(true);
    const card = await download(page, 'Picture of your contribution');
    expect(card.name).toBe('my-contribution.png');
    expect([card.bytes.readUInt32BE(16), card.bytes.readUInt32BE(20)]).toEqual([1_200, 630]);
    await waitForText(page, '#keep-note', /network that reads handwritten digits: [\d,]+ samples/);
    await page.getByText('Add another device').click();
    await waitForText(page, '#invite-text', /other devices cannot reach this run/i);
    expect(await policyViolations(page)).toEqual([]);
    expect(errors).toEqual([]);
  }, 120_000);

  test('celebrates the end of a run, if motion is welcome, and shows the run beside the next one', async () => {
    const pages: Page[] = [];
    for (const reducedMotion of ['no-preference', 'reduce'] as const) {
      const context = await run.browser.newContext({ reducedMotion });
      onTestFinished(() => context.close());
      const page = await context.newPage();
      await page.addInitScript(`fell = 0; addEventListener('DOMContentLoaded', () => new MutationObserver((changes) => {
        for (const { addedNodes } of changes) for (const node of addedNodes) if (node.className === 'confetti') fell++;
      }).observe(document.body, { childList: true }));`);
      pages.push(page);
    }
    const settings = { topology: tinyTopology([28, 28, 1], 10), batchSize: 64, epochs: 2 };
    const first = await testCoordinator(dataset, settings);
    const address = first.url.replace('ws', 'http');
    for (const page of pages) {
      await page.goto(`${address}/?watch`);
      await waitForText(page, '#epoch', /Not started yet/);
    }
    const worker = attachWorker(first.url, 'node', await wasmEngine());
    await waitForWorkersReady(first, 1);
    // Long enough for more than one message with progress.
    await trainObserved(first, dataset, undefined, 100);
    await first.close('The run is finished.');
    await worker.ended;
    for (const page of pages) await waitForText(page, '#purpose', /^The network is trained\./);
    await expect.poll(() => Promise.all(pages.map((page) => page.evaluate<number>('fell')))).toEqual([1, 0]);
    const last = await download(pages[0]!, 'Download the model');
    expect(last.name).toBe('drawn-digits-model.zip');

    // The same address, as browsers store by origin.
    const next = await testCoordinator(dataset, { ...settings, port: first.port });
    onTestFinished(() => next.close('The test is over.'));
    await pages[0]!.goto(`${address}/?watch`);
    await pages[0]!.locator('#earlier-legend').waitFor();
    await pages[0]!.getByLabel('Earlier runs').uncheck();
    expect(await pages[0]!.locator('#earlier-legend').isVisible()).toBe(false);
    // The coordinator's port closes once no browser keeps a connection.
    for (const page of pages) await page.close();
  }, 120_000);
});

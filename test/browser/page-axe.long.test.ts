import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openDataset, type DataFlags } from '../../coordinator/data/load-dataset.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import { CloseCode } from '../../shared/protocol/close-codes.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { startProxy } from '../support/proxy.ts';
import {
  recordingReport,
  testCoordinator,
  tinyTopology,
  waitForWorkersReady,
  type TestCoordinator,
} from '../support/test-coordinator.ts';
import { attachWorker, trainObserved } from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { PLAIN_NAME, startPageRun, waitForText, type PageRun } from './page-run.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 64 });
const topology = tinyTopology([28, 28, 1], 10);

const VIEWS = ['light', 'dark'].flatMap((colorScheme) => [
  { name: `on a phone, ${colorScheme}`, colorScheme, width: 390, height: 844 },
  { name: `on a desktop, ${colorScheme}`, colorScheme, width: 1440, height: 900 },
]) as readonly {
  readonly name: string;
  readonly colorScheme: 'light' | 'dark';
  readonly width: number;
  readonly height: number;
}[];

/** Folder for a picture of each state in each view, for people who change the page; none by default. */
const pictures = process.env.GRADCAST_TEST_PICTURES;
if (pictures !== undefined) await mkdir(pictures, { recursive: true });

/** Program of the page: its elements that reach beyond its right edge, if that makes it scroll sideways. */
const WIDER_THAN_PAGE = `(() => {
  const { clientWidth, scrollWidth } = document.documentElement;
  return scrollWidth <= clientWidth ? [] : [...document.querySelectorAll('body *')]
    .filter((element) => element.getBoundingClientRect().right > clientWidth)
    .map((element) => element.cloneNode(false).outerHTML + ' ' + element.textContent.slice(0, 80));
})()`;

/** Checks the page of a state in each view. */
async function checkPage(page: Page, state: string): Promise<void> {
  await page.evaluate(axe);
  for (const { name, colorScheme, width, height } of VIEWS) {
    const what = `${state}, ${name}`;
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    // Charts take the new width with the next frame, which may be late on a busy machine.
    await page.evaluate(
      'new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))',
    );
    const { violations } = await page.evaluate(() =>
      (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
    );
    expect(
      violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]),
      what,
    ).toEqual([]);
    expect(await page.evaluate(WIDER_THAN_PAGE), what).toEqual([]);
    if (pictures === undefined) continue;
    // Charts are drawn on the screen only, so the screen is as high as the page.
    await page.evaluate('scrollTo(0, 0)');
    await page.setViewportSize({ width, height: await page.evaluate('document.body.scrollHeight') });
    await page.waitForTimeout(500);
    await page.screenshot({
      path: join(pictures, `${what.replaceAll(/\W+/g, '-')}.png`),
      animations: 'disabled',
    });
  }
}

describeInBrowser('axe finds no violation, and the page does not scroll sideways', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  async function openPage(): Promise<Page> {
    // The tests inject axe by eval, which the page's security policy forbids.
    const context = await run.browser.newContext({ bypassCSP: true });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    return page;
  }

  /** A coordinator that is closed when the test is over. @returns it, and the address of its page */
  async function startCoordinator(
    data: Dataset,
    settings: Parameters<typeof testCoordinator>[1],
  ): Promise<[TestCoordinator, string]> {
    const coordinator = await testCoordinator(data, settings);
    onTestFinished(() => coordinator.close('The test is over.'));
    return [coordinator, coordinator.url.replace('ws', 'http')];
  }

  test('while it contributes, paused, without and with a wrong token, on standby, cut off, and after the end', async () => {
    const page = await openPage();
    await page.goto(`${run.address}#secret`);
    await waitForText(page, '#workers-title', /worker/);
    await page.getByRole('button', { name: 'Draw a 3' }).click();
    await page.locator('#bars .best').waitFor();
    await page.getByText('Add another device').click();
    await page.locator('#samples').scrollIntoViewIfNeeded();
    await waitForText(page, '#samples-text', /test samples right/);
    await page.locator('#timeline-rows li').first().waitFor();
    await page.getByRole('button', { name: 'Download the model' }).waitFor();
    await page.getByRole('button', { name: 'Picture of your contribution' }).waitFor();
    await checkPage(page, 'contributing');
    await page.getByRole('button', { name: 'Pause' }).click();
    await waitForText(page, '#state', /^Paused$/);
    await checkPage(page, 'paused');

    const [coordinator] = await startCoordinator(dataset, { topology, token: 'secret' });
    const proxy = await startProxy();
    proxy.pointTo(coordinator.port);
    const address = `http://${PLAIN_NAME}:${proxy.port}/`;
    await page.goto(address);
    await waitForText(page, '#state', /^This run needs a token$/);
    await checkPage(page, 'without the token');

    const token = page.getByRole('textbox', { name: 'Token' });
    await token.fill('guess');
    await page.getByRole('button', { name: 'Join' }).click();
    await waitForText(page, '#state', /^Wrong token$/);
    await checkPage(page, 'with a wrong token');

    await token.fill('secret');
    await page.getByRole('button', { name: 'Join' }).click();
    await waitForText(page, '#state', /^Contributing$/);
    const [worker] = coordinator.pool.workers.values();
    coordinator.pool.setStandby(worker!, 'A step takes 9 ms without it.');
    await waitForText(page, '#state', /^On standby$/);
    await page.locator('#invite-code').waitFor();
    await checkPage(page, 'standing by');

    proxy.pointTo(null);
    await waitForText(page, '#state', /^Connection lost$/);
    await checkPage(page, 'connection lost');

    proxy.pointTo(coordinator.port);
    await waitForText(page, '#state', /^Contributing$/);
    await coordinator.close('The run is finished.');
    await waitForText(page, '#state', /^The run is over$/);
    await checkPage(page, 'after the end');
    proxy.close();
  });

  test('where the tab cannot join: no trusted address, no room, a ban, no Web Worker', async () => {
    // Without a token, a page under a foreign host name can be read but cannot join.
    const page = await openPage();
    const [closed] = await startCoordinator(dataset, { topology });
    await page.goto(`http://${PLAIN_NAME}:${closed.port}/`);
    await waitForText(page, '#state', /^Cannot reach the run$/);
    await checkPage(page, 'never joined');

    const [full, address] = await startCoordinator(dataset, { topology, maxWorkers: 1 });
    await page.goto(address);
    await waitForText(page, '#state', /^Contributing$/);
    const other = await openPage();
    await other.goto(address);
    await waitForText(other, '#state', /^The run is full$/);
    await checkPage(other, 'full');

    const [worker] = full.pool.workers.values();
    full.pool.drop(
      worker!,
      CloseCode.wrongGradient,
      'This worker is banned: two of its gradients were wrong.',
    );
    await waitForText(page, '#state', /^The coordinator refused this tab$/);
    await checkPage(page, 'banned');

    await page.route('**/tab-worker-*', (route) => route.abort());
    await page.goto(`${address}?again`);
    await waitForText(page, '#state', /^This tab cannot take part$/);
    await checkPage(page, 'failed');
  });

  test('while it watches: before the first worker, while the run trains, and after its end', async () => {
    const page = await openPage();
    const [coordinator, address] = await startCoordinator(dataset, {
      topology,
      batchSize: 64,
      epochs: 10_000,
    });
    await page.goto(`${address}/?watch`);
    await waitForText(page, '#eta', /^The run begins with the first worker\.$/);
    expect(await page.getByRole('button', { name: 'Download the model' }).isVisible()).toBe(false);
    await checkPage(page, 'watching before the first worker');

    const worker = attachWorker(coordinator.url, 'node', await wasmEngine());
    await waitForWorkersReady(coordinator, 1);
    const stop = new AbortController();
    const training = trainObserved(coordinator, dataset, stop.signal, 100).catch(() => undefined);
    await page.locator('#samples').scrollIntoViewIfNeeded();
    await waitForText(page, '#samples-text', /test samples right/);
    await page.getByRole('button', { name: 'Download the model' }).waitFor();
    await checkPage(page, 'watching');

    stop.abort();
    await training;
    await coordinator.close('The run is finished.');
    await worker.ended;
    await waitForText(page, '#state', /^The run is over$/);
    await checkPage(page, 'watched to the end');
  });

  test('while it waits on a projector: the code to scan is large until the first step', async () => {
    const [coordinator] = await startCoordinator(dataset, {
      ...{ topology, batchSize: 64, epochs: 10_000, token: 'secret' },
    });
    const address = `http://${PLAIN_NAME}:${coordinator.port}/`;
    const page = await openPage();
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.goto(`${address}?watch#secret`);
    await waitForText(page, '#eta', /^The run begins with the first worker\.$/);
    const code = page.locator('#invite-code');
    await code.waitFor();
    const { y, width, height } = (await code.boundingBox())!;
    expect(width).toBeGreaterThan(300);
    expect(y + height).toBeLessThan(page.viewportSize()!.height);
    await checkPage(page, 'awaited on a projector');

    const phone = await openPage();
    await phone.goto((await page.locator('#invite-link').getAttribute('href')) ?? '');
    await waitForText(phone, '#state', /^Contributing$/);
    const stop = new AbortController();
    const training = trainObserved(coordinator, dataset, stop.signal, 100).catch(() => undefined);
    await code.waitFor({ state: 'hidden' });
    stop.abort();
    await training;
  });

  const row = (i: number): string => `${20 + ((i * 37) % 90)},${1 + (i % 5)},${(i * 13) % 60}`;
  test.each<{ task: string; file: string; text: string; flags: DataFlags; predicts: RegExp | null }>([
    {
      task: 'a table with a value',
      file: 'houses.csv',
      text: ['size,rooms,age,price', ...Array.from({ length: 300 }, (_, i) => `${row(i)},${i % 70}`)].join(
        '\n',
      ),
      flags: { target: 'price' } as DataFlags,
      predicts: /predicted with a mean error/,
    },
    {
      task: 'a table with a class',
      file: 'flowers.csv',
      text: [
        'length,petals,height,kind',
        ...Array.from({ length: 300 }, (_, i) => `${row(i)},${['rose', 'tulip', 'daisy'][i % 3]}`),
      ].join('\n'),
      flags: { target: 'kind' } as DataFlags,
      predicts: /test samples right/,
    },
    {
      task: 'a text',
      file: 'rhymes.txt',
      text: Array.from({ length: 240 }, (_, i) => `the ${['cat', 'rat', 'bat'][i % 3]} sat on the mat.`).join(
        '\n',
      ),
      flags: { format: 'text', sequenceLength: 12 } as DataFlags,
      // The target is a sequence, for which the page has no view.
      predicts: null,
    },
  ])('of $task', async ({ task, file, text, flags, predicts }) => {
    const folder = await mkdtemp(join(tmpdir(), 'gradcast-page-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, file), text);
    const data = await openDataset({ ...flags, data: join(folder, file), seed: 1 }, recordingReport());
    const [coordinator, address] = await startCoordinator(data, { batchSize: 16, epochs: 1_000 });
    const worker = attachWorker(coordinator.url, 'node', await wasmEngine());
    await waitForWorkersReady(coordinator, 1);
    const stop = new AbortController();
    const training = trainObserved(coordinator, data, stop.signal, 50).catch(() => undefined);
    const page = await openPage();
    await page.goto(`${address}/?watch`);
    await page.locator('#timeline-rows li').first().waitFor();
    if (predicts !== null) {
      await page.locator('#samples').scrollIntoViewIfNeeded();
      await waitForText(page, '#samples-text', predicts);
    }
    await checkPage(page, task);
    stop.abort();
    await training;
    await coordinator.close('The test is over.');
    await worker.ended;
  });
});

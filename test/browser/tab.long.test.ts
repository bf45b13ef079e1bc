import { readSamples } from '../../shared/data/dataset.ts';
import type { Browser, Page } from 'playwright-core';
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { Step } from '../../shared/protocol/messages.ts';
import { openChromium } from '../support/chromium.ts';
import { loadDigits } from '../support/digits.ts';
import { browserRequired, describeInBrowser } from '../support/in-browser.ts';
import { startProxy } from '../support/proxy.ts';
import { attachRelay } from '../support/relay.ts';
import { testCoordinator, waitForWorkersReady, type TestCoordinator } from '../support/test-coordinator.ts';
import { relativeDifference } from '../support/vectors.ts';
import { spawnWorker } from '../support/worker-process.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';

const SAMPLES = 16;
const TOLERANCE = 1e-3;
/** Upper limit of the compressed bytes that a tab loads before it contributes. */
const FIRST_LOAD_BYTES = 1.2e6;
/** A software GPU is slow on a busy machine. */
vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

interface Run extends TestCoordinator {
  readonly address: string;
  gradient(): Promise<Float32Array>;
}

/** A coordinator with one batch, of `samples` samples. */
async function start(samples = SAMPLES, microShard?: number): Promise<Run> {
  const dataset = await loadDigits(samples);
  const coordinator = await testCoordinator(dataset, { seed: 1, batchSize: samples, epochs: 3, microShard });
  const numbers = Uint32Array.from({ length: samples }, (_, i) => i);
  const optimizer = fixedWeights(coordinator.initialWeights);
  const input = { step: 0 as Step, batch: readSamples(dataset.train, numbers), optimizer };
  return {
    ...coordinator,
    address: coordinator.url.replace(/^ws/, 'http'),
    gradient: async () => (await coordinator.stepRunner.run(input)).gradientSum.slice(),
  };
}

const enginesOf = ({ pool }: TestCoordinator): string[] =>
  [...pool.workers.values()].map(({ engine }) => engine.backend);

describeInBrowser('a tab', () => {
  let browser: Browser;
  /** Gradient of a Node worker. */
  let expected: Float32Array;
  const errors: string[] = [];

  async function openTab(address: string): Promise<Page> {
    const page = await browser.newPage();
    page.on('console', (message) => {
      // The browser logs a refused connection whatever the page does, as after the end of a run.
      const refused = message.text().includes('net::ERR_CONNECTION_REFUSED');
      if (message.type() === 'error' && !refused) errors.push(message.text());
    });
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(address);
    return page;
  }
  const engineChoice = (page: Page): Promise<string | null> => page.locator('#engine-why').textContent();

  beforeAll(async () => {
    const run = await start();
    const worker = spawnWorker(run.url);
    await waitForWorkersReady(run, 1);
    expected = await run.gradient();
    await run.close('done');
    await worker.ended;
  });
  beforeEach(async () => {
    // A new browser each time, as a software GPU may still compute for a closed tab.
    browser = await openChromium();
  });
  afterEach(async () => {
    await browser.close();
    expect(errors.splice(0)).toEqual([]);
  });

  test('of a relay computes for the run above it', async () => {
    const run = await start();
    const relay = await attachRelay(run.url, 'relay');
    const page = await openTab(`${relay.url.replace(/^ws/, 'http')}?engine=wasm&threads=1`);
    await waitForWorkersReady(run, 1);
    expect(enginesOf(run)).toEqual(['relay']);
    expect(relativeDifference(await run.gradient(), expected)).toBeLessThan(TOLERANCE);
    await page.close();
    await run.close('done');
    relay.leave();
    await relay.ended;
  });

  test.each([
    ['wasm', '?engine=wasm&threads=1'],
    ['wasm', '?engine=wasm&threads=3'],
  ])('computes the gradient of a Node worker with %s (%s)', async (backend, query) => {
    const run = await start();
    await openTab(`${run.address}/${query}`);
    await waitForWorkersReady(run, 1);
    expect(enginesOf(run)).toEqual([backend]);
    expect(relativeDifference(await run.gradient(), expected)).toBeLessThan(TOLERANCE);
    await run.close('done');
  });

  test('computes the bits of a Node worker in an exact run, also on several threads', async () => {
    const bits = async (join: (run: Run) => unknown): Promise<Float32Array> => {
      const run = await start(SAMPLES, 4);
      await join(run);
      await waitForWorkersReady(run, 1);
      const gradient = await run.gradient();
      await run.close('done');
      return gradient;
    };
    const node = await bits(({ url }) => spawnWorker(url));
    const tab = await bits(({ address }) => openTab(`${address}/?engine=wasm&threads=2`));
    expect(Buffer.compare(Buffer.from(tab.buffer), Buffer.from(node.buffer))).toBe(0);
  });

  /** Why a test with this API is skipped; null if the browser has the API, or is required to have it. */
  async function skipReason(api: 'webgl' | 'webgpu', { address }: Run): Promise<string | null> {
    const page = await browser.newPage();
    // WebGPU needs a secure context, which an address of the coordinator gives.
    await page.goto(`${address}/nothing-here`);
    const isAvailable = await page.evaluate<boolean>(
      api === 'webgl'
        ? `document.createElement('canvas').getContext('webgl2') !== null`
        : `(async () => ((await navigator.gpu?.requestAdapter()) ?? null) !== null)()`,
    );
    await page.close();
    errors.length = 0;
    return isAvailable || browserRequired ? null : `this browser has no ${api} in software`;
  }

  test.for(['webgl', 'webgpu'] as const)(
    'computes the gradient of a Node worker with %s, also after the GPU was lost',
    async (backend, { skip }) => {
      const run = await start();
      const reason = await skipReason(backend, run);
      if (reason !== null) await run.close('done');
      skip(reason !== null, reason ?? '');
      const page = await openTab(`${run.address}/?engine=${backend}`);
      await waitForWorkersReady(run, 1);
      expect(enginesOf(run)).toEqual([backend]);
      expect(relativeDifference(await run.gradient(), expected)).toBeLessThan(TOLERANCE);
      const left = new Promise<void>((resolve) => {
        const stop = run.pool.subscribe({
          left() {
            stop();
            resolve();
          },
        });
      });
      const session = await browser.newBrowserCDPSession();
      // All WebGL contexts and WebGPU devices are lost, as after a reset of the driver.
      await session.send('Browser.crashGpuProcess');
      await left;
      await waitForWorkersReady(run, 1);
      expect(await page.locator('#note').textContent()).toMatch(/The engine was lost/);
      expect(relativeDifference(await run.gradient(), expected)).toBeLessThan(TOLERANCE);
      errors.length = 0;
      await run.close('done');
    },
  );

  test('loads few bytes, contributes soon, and benchmarks the other engines', async () => {
    const run = await start();
    const page = await browser.newPage();
    let bytes = 0;
    const loaded: Promise<void>[] = [];
    page.on('response', (response) => {
      loaded.push(
        response
          .request()
          .sizes()
          .then(({ responseBodySize }) => void (bytes += responseBodySize)),
      );
    });
    const startedMs = performance.now();
    await page.goto(run.address);
    await waitForWorkersReady(run, 1);
    expect(relativeDifference(await run.gradient(), expected)).toBeLessThan(TOLERANCE);
    const firstGradientMs = performance.now() - startedMs;
    await Promise.all(loaded);
    console.log(`  first gradient after ${firstGradientMs.toFixed(0)} ms, ${bytes} bytes loaded`);
    expect(bytes).toBeGreaterThan(100_000);
    expect(bytes).toBeLessThan(FIRST_LOAD_BYTES);
    await expect
      .poll(() => engineChoice(page), { timeout: 120_000 })
      .toMatch(/WebGPU (?!and).*; WebGL (?!is tried)/);
    console.log(`  ${await engineChoice(page)}`);
    expect(enginesOf(run)).toEqual(['wasm']);
    await run.close('done');
  });

  test('is closed during a step of its GPU: the other workers compute its shard at once', async ({
    skip,
  }) => {
    // A software GPU computes for a closed tab for seconds, up to a minute. The next tab that needs it waits so long, but
    // the run must not: that is why engines have Web Workers of their own, apart from the socket.
    const run = await start(64);
    const reason = await skipReason('webgl', run);
    if (reason !== null) await run.close('done');
    skip(reason !== null, reason ?? '');
    const worker = spawnWorker(run.url, '--name', 'node');
    await waitForWorkersReady(run, 1);
    const alone = await run.gradient();
    const page = await openTab(`${run.address}/?engine=webgl`);
    await waitForWorkersReady(run, 2);
    const gradient = run.gradient();
    await new Promise<void>((resolve) => {
      const stop = run.pool.subscribe({
        answered() {
          stop();
          resolve();
        },
      });
    });
    const tab = [...run.pool.workers.values()].find(({ name }) => name !== 'node');
    expect(tab?.stats.samples).toBe(0);
    await page.close();
    expect(relativeDifference(await gradient, alone)).toBeLessThan(TOLERANCE);
    expect(tab?.stats.samples).toBe(0);
    await run.close('done');
    await worker.ended;
  });

  test('joins again when the coordinator is back', async () => {
    const proxy = await startProxy();
    const first = await start();
    proxy.pointTo(first.port);
    const page = await openTab(`http://127.0.0.1:${proxy.port}/?engine=wasm`);
    await waitForWorkersReady(first, 1);
    proxy.pointTo(null);
    await expect.poll(() => page.locator('#state').textContent()).toBe('Connection lost');
    const second = await start();
    proxy.pointTo(second.port);
    await waitForWorkersReady(second, 1);
    expect(relativeDifference(await second.gradient(), expected)).toBeLessThan(TOLERANCE);
    // The browser has logged the failed connections.
    await page.close();
    errors.length = 0;
    await Promise.all([first.close('done'), second.close('done')]);
    proxy.close();
  });

  test('pauses at a click, leaves the run, and joins again', async () => {
    const run = await start();
    const page = await openTab(`${run.address}/?engine=wasm`);
    await waitForWorkersReady(run, 1);
    await page.locator('#main-button').click();
    await expect.poll(() => page.locator('#state').textContent()).toBe('Paused');
    await expect.poll(() => run.pool.workers.size).toBe(0);
    await page.locator('#main-button').click();
    await waitForWorkersReady(run, 1);
    await run.close('done');
  });
});

import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { openChromium } from '../support/chromium.ts';
import {
  bundleOf,
  exampleBundle,
  exampleFile,
  exampleTopology,
  threeInputs,
} from '../support/custom-code.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { collectPageErrors } from '../support/page-errors.ts';
import { testCoordinator, waitForWorkersReady, type TestCoordinator } from '../support/test-coordinator.ts';
import { attachWorker, trainToEnd } from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const TYPES: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.wasm': 'application/wasm' };
/** Page of another site that takes part in a run. */
const page = (link: string): string => `<!doctype html>
<script type="module">
  import { contribute } from './package/index.js';
  globalThis.contribution = contribute('${link}', { name: 'Other site', filesUrl: '/files/' });
</script>`;

describeInBrowser('a tab and custom code', () => {
  const open: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });

  async function start(settings: Parameters<typeof testCoordinator>[1] = {}): Promise<TestCoordinator> {
    const coordinator = await testCoordinator(threeInputs, {
      topology: exampleTopology,
      custom: await exampleBundle(),
      loss: 'asymmetricError',
      metrics: ['withinHalf', 'mae'],
      optimizer: { name: 'adam' },
      batchSize: 24,
      epochs: 3,
      ...settings,
    });
    open.push(() => coordinator.close('done'));
    return coordinator;
  }

  test('trains with the layer, loss and metric of the coordinator whose page it is', async () => {
    const browser = await openChromium();
    open.push(() => browser.close());
    const coordinator = await start();
    const tab = await browser.newPage();
    const errors = collectPageErrors(tab);
    await tab.goto(coordinator.url.replace(/^ws/, 'http'));
    await waitForWorkersReady(coordinator, 1);
    const { history, weights } = await trainToEnd(coordinator, threeInputs);
    const own = await start();
    const { hash } = (await exampleBundle()).code;
    const node = attachWorker(own.url, 'node', await wasmEngine(), undefined, undefined, undefined, [hash]);
    await waitForWorkersReady(own, 1);
    const reference = await trainToEnd(own, threeInputs);
    // The tab computes what a worker in Node computes.
    history.forEach((record, i) => {
      expect(record.loss).toBeCloseTo(reference.history[i]!.loss, 4);
      expect(record.val_withinHalf as number).toBeCloseTo(reference.history[i]!.val_withinHalf as number, 6);
    });
    weights.forEach((value, i) => expect(value).toBeCloseTo(reference.weights[i]!, 3));
    expect(errors).toEqual([]);
    await own.close('done');
    await node.ended;
  });

  test('ends the engine of code that does not end, and says so', async () => {
    const browser = await openChromium();
    open.push(() => browser.close());
    // The coordinator runs it too.
    const looping = `if (typeof WorkerGlobalScope === 'function') for (;;);\n${readFileSync(exampleFile, 'utf8')}`;
    const coordinator = await start({ custom: await bundleOf(looping) });
    const tab = await browser.newPage();
    await tab.goto(coordinator.url.replace(/^ws/, 'http'));
    const waitFor = (id: string, text: string) =>
      tab.locator(id).filter({ hasText: text }).waitFor({ timeout: 60_000 });
    await waitFor('#state', 'Building the model');
    await tab.getByRole('button', { name: 'Pause' }).click();
    await waitFor('#state', 'Paused');
    await waitFor('#note', 'The engine did not stop computing, so it was ended.');
    // Another engine opens, which needs a processor that is not taken by the loop.
    await tab.getByRole('button', { name: 'Continue' }).click();
    await waitFor('#state', 'Building the model');
    await tab.close();
  });

  test('declines on a page of another origin, which the coordinator lets join', async () => {
    const browser = await openChromium();
    open.push(() => browser.close());
    let link = '';
    const server = createServer((request, response) => {
      const path = request.url ?? '';
      if (path === '/') response.setHeader('Content-Type', 'text/html').end(page(link));
      else {
        const [, folder, name = ''] = path.split('/');
        const file = join(folder === 'files' ? 'dist/page' : 'dist/worker-browser', name);
        response.setHeader('Content-Type', TYPES[extname(file)] ?? 'text/plain');
        // Such as the page's icon.
        if (name === '' || !existsSync(file)) response.writeHead(404).end();
        else response.end(readFileSync(file));
      }
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    open.push(() => new Promise((resolve) => server.close(resolve)));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const coordinator = await start({ allowedOrigins: [origin] });
    link = coordinator.url.replace(/^ws/, 'http');
    const tab = await browser.newPage();
    const asked: string[] = [];
    tab.on('request', (request) => asked.push(request.url()));
    await tab.goto(origin);
    const state = () => tab.evaluate<string>('contribution.status.state');
    await expect.poll(state, { timeout: 60_000 }).toBe('refused');
    expect(await tab.evaluate<string>('contribution.status.reason')).toBe(
      'The run computes with code that a person wrote (layer ScaledResidualDense, loss asymmetricError, metric withinHalf), ' +
        `which a page of ${origin} does not run. Open ${link}/ to take part.`,
    );
    expect(asked.filter((address) => address.includes('/custom/'))).toEqual([]);
    expect(coordinator.pool.workers.size).toBe(0);
    await tab.close();
  });
});

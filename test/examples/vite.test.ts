import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, preview, type PreviewServer } from 'vite';
import { createCoordinator, train, type Coordinator } from '../../coordinator/index.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { packAndInstall, type PackedPackage } from '../package/packed.ts';
import { NO_GPU, openChromium } from '../support/chromium.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { tinyTopology } from '../support/test-coordinator.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 16 });
const task = { data: dataset, model: tinyTopology([28, 28, 1], 10), batchSize: 16, epochs: 2 };

describeInBrowser('a page of another origin', () => {
  let packed: PackedPackage;
  let server: PreviewServer;
  let browser: Browser;
  let origin = '';
  let coordinator: Coordinator;
  let address = '';

  beforeAll(async () => {
    packed = await packAndInstall();
    const root = join(packed.folder, 'vite');
    cpSync('examples/vite', root, { recursive: true });
    await build({ root, logLevel: 'warn' });
    const script = (address: string): string => `<!doctype html><output id="state"></output>
      <script type="module">
        import { contribute } from '${address}/gradcast.js';
        contribute('${address}', { name: 'Module page', onStatus: ({ state: text }) => (state.textContent = text) });
      </script>`;
    server = await preview({ root, logLevel: 'warn', preview: { port: 0, host: '127.0.0.1' } });
    const { port } = server.httpServer.address() as { port: number };
    origin = `http://127.0.0.1:${port}`;
    coordinator = createCoordinator({ path: '/train', allowedOrigins: [origin] });
    address = `http://127.0.0.1:${await coordinator.listen()}/train`;
    writeFileSync(join(root, 'dist/module.html'), script(address));
    writeFileSync(
      join(root, 'dist/global.html'),
      `<!doctype html><output id="state"></output><script src="${address}/gradcast.global.js"></script>
      <script>
        gradcast.contribute('${address}', { name: 'Script page', onStatus: ({ state: text }) => (state.textContent = text) });
      </script>`,
    );
    browser = await openChromium(NO_GPU);
  }, 240_000);
  afterAll(async () => {
    await browser.close();
    await coordinator.close();
    await server.close();
    packed.remove();
  });

  test.each([
    [
      'built by Vite, with the Web Workers of the package',
      (at: string) => `/?coordinator=${at}`,
      'Vite page',
    ],
    ['that imports the module of the coordinator', () => '/module.html', 'Module page'],
    ['with the script of the coordinator', () => '/global.html', 'Script page'],
  ])(
    '%s trains',
    async (_, pathOf, name) => {
      const page = await browser.newPage();
      const foreign: string[] = [];
      page.on('request', (request) => {
        if (!request.url().startsWith(origin) && !request.url().startsWith('blob:'))
          foreign.push(request.url());
      });
      await page.goto(origin + pathOf(address));
      const state = (): Promise<string | null> => page.locator('#state').textContent();
      await expect.poll(state).toBe('waiting');
      const lines: string[] = [];
      const model = await train(task, {
        coordinator,
        audit: false,
        reporter: { info: (line) => lines.push(line) },
      });
      expect(lines.join('\n')).toContain(`+ ${name} joined: wasm`);
      expect(model.history).toHaveLength(2);
      // The coordinator may have another run, for which the page waits.
      await expect.poll(state).toBe('standby');
      // Vite's page has all files from its own server.
      if (name === 'Vite page') expect(foreign).toEqual([]);
      else expect(foreign.length).toBeGreaterThan(0);
      await page.close();
    },
    120_000,
  );

  test('that is not allowed cannot join', async () => {
    const other = createCoordinator();
    const url = `http://127.0.0.1:${await other.listen()}`;
    const page = await browser.newPage();
    await page.goto(`${origin}/?coordinator=${url}`);
    await expect.poll(() => page.locator('#state').textContent()).toBe('waiting');
    const run = train(task, { coordinator: other, workers: 1, engine: 'wasm', audit: false });
    expect((await run).history[0]!.workers).toBe(1);
    await page.close();
    await other.close();
  }, 120_000);
});

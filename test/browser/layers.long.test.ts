import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openChromium } from '../support/chromium.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { errorBounds, type Deviation } from '../support/keras-layers.ts';
import { kinds } from '../support/layer-cases.ts';

/** A software GPU on a busy machine takes its time. */
const TIMEOUT_MS = 300_000;
/** GPUs' reciprocals, roots and exponentials are less exact than those of processors. */
const GPU_TIMES = 10;
/** An origin that is trusted, as WebGPU asks for; every request is answered by the test. */
const ORIGIN = 'http://localhost/';

describeInBrowser('layers on a GPU in a browser', () => {
  let browser: Browser;
  let script: string;

  async function openPage(): Promise<Page> {
    const page = await browser.newPage();
    await page.route('**/*', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
    await page.goto(ORIGIN);
    await page.addScriptTag({ content: script });
    return page;
  }

  beforeAll(async () => {
    const { outputFiles } = await build({
      entryPoints: [new URL('layers-page.js', import.meta.url).pathname],
      ...({ bundle: true, write: false, format: 'iife', platform: 'browser', logLevel: 'error' } as const),
    });
    script = outputFiles[0]!.text;
    browser = await openChromium();
  }, TIMEOUT_MS);
  afterAll(() => browser.close());

  test.each(['webgl', 'webgpu'])(
    'loss and gradient on %s are those of Keras',
    async (backend) => {
      const page = await openPage();
      const found = await page.evaluate<(Deviation | { failed: string })[]>(
        `deviations('${backend}', ${JSON.stringify(kinds)})`,
      );
      await page.close();
      kinds.forEach((each, i) => {
        const deviation = found[i]!;
        const bounds = errorBounds(each);
        if ('failed' in deviation) expect.fail(`${each.name}: ${deviation.failed}`);
        expect(deviation.loss, each.name).toBeLessThan(GPU_TIMES * bounds.loss);
        expect(deviation.gradient, each.name).toBeLessThan(GPU_TIMES * bounds.gradient);
        expect(deviation.frozenAreZero, each.name).toBe(true);
      });
    },
    TIMEOUT_MS,
  );
});

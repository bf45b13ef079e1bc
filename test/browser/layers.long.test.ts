import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openChromium } from '../support/chromium.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { errorBounds, type Deviation } from '../support/keras-layers.ts';
import { kinds } from '../support/layer-cases.ts';

/** A software GPU is slow on a busy machine. */
const TIMEOUT_MS = 300_000;
/** Factor for the errors of a GPU: its reciprocals, roots and exponentials are less exact than a processor's. */
const GPU_ERROR_FACTOR = 10;
/** A secure context, which WebGPU requires. The test answers every request. */
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
      const deviations = await page.evaluate<(Deviation | { failed: string })[]>(
        `deviations('${backend}', ${JSON.stringify(kinds)})`,
      );
      await page.close();
      kinds.forEach((kind, i) => {
        const deviation = deviations[i]!;
        const bounds = errorBounds(kind);
        if ('failed' in deviation) expect.fail(`${kind.name}: ${deviation.failed}`);
        expect(deviation.loss, kind.name).toBeLessThan(GPU_ERROR_FACTOR * bounds.loss);
        expect(deviation.gradient, kind.name).toBeLessThan(GPU_ERROR_FACTOR * bounds.gradient);
        expect(deviation.frozenAreZero, kind.name).toBe(true);
      });
    },
    TIMEOUT_MS,
  );
});

import type { Browser, Page } from 'playwright-core';
import { onTestFinished } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { NO_GPU, openChromium } from '../support/chromium.ts';
import { collectPageErrors } from '../support/page-errors.ts';
import { testCoordinator, tinyTopology, type TestCoordinator } from '../support/test-coordinator.ts';
import { trainObserved } from '../support/training-run.ts';

// Scripts of the page are strings, as the types of tests are Node's.
const RECORD_VIOLATIONS =
  'violations = []; addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective))';
const COUNT_INK = `(selector) => {
  const canvas = document.querySelector(selector);
  if (canvas === null) return 0;
  // Read from a copy: the browser warns when a canvas that the page draws is read again and again.
  const copy = Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height });
  const context = copy.getContext('2d', { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, i) => i % 4 === 3 && value > 0).length;
}`;
const dataset = syntheticDigits({ seed: 1, trainCount: 640, testCount: 64 });

/** Host name of this machine that browsers do not treat as loopback, so that http gives no secure context. */
export const PLAIN_NAME = 'gradcast.test';
/** Warning of the browser on every page over plain http, where it ignores cross-origin isolation. */
const UNTRUSTWORTHY = /Cross-Origin-Opener-Policy header has been ignored/;

/** A run that continues until it is closed, and a browser for its page. */
export interface PageRun {
  readonly coordinator: TestCoordinator;
  readonly browser: Browser;
  readonly address: string;
  /** The same page under a name that gives no secure context, as a LAN address does. */
  readonly plainAddress: string;
  /**
   * Opens the page in a new tab and records its errors.
   * @param before script that runs before the page's own
   * @param from one of the addresses
   * @param token including the #
   */
  open(
    search: string,
    before?: string,
    from?: string,
    token?: string,
  ): Promise<{ page: Page; errors: readonly string[] }>;
  close(): Promise<void>;
}

export async function startPageRun(): Promise<PageRun> {
  const stop = new AbortController();
  const coordinator = await testCoordinator(dataset, {
    topology: tinyTopology([28, 28, 1], 10),
    token: 'secret',
    batchSize: 64,
    epochs: 100_000,
  });
  const address = coordinator.url.replace('ws', 'http');
  const training = trainObserved(coordinator, dataset, stop.signal, 20).catch(() => undefined);
  const browser = await openChromium([
    ...NO_GPU,
    `--host-resolver-rules=MAP ${PLAIN_NAME} 127.0.0.1`,
    // For self-signed certificates. Playwright's ignoreHTTPSErrors lets some requests of Web Workers fail.
    '--ignore-certificate-errors',
  ]);
  return {
    coordinator,
    browser,
    address,
    plainAddress: address.replace('127.0.0.1', PLAIN_NAME),
    async open(search, before = '', from = address, token = '#secret') {
      const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
      page.setDefaultTimeout(60_000);
      // Closed also after a failure, as the next test counts the workers.
      onTestFinished(() => page.close());
      await page.addInitScript(`${RECORD_VIOLATIONS}; ${before}`);
      const errors = collectPageErrors(page, UNTRUSTWORTHY);
      await page.goto(`${from}/${search}${token}`);
      return { page, errors };
    },
    async close() {
      await browser.close();
      stop.abort();
      coordinator.stop();
      await coordinator.close('The test is over.');
      await training;
    },
  };
}

export const policyViolations = (page: Page) => page.evaluate<string[]>('violations');

export const waitForText = (page: Page, id: string, pattern: RegExp) =>
  page.locator(id).filter({ hasText: pattern }).waitFor({ timeout: 60_000 });

export const countInk = (page: Page, id: string) => page.evaluate<number>(`(${COUNT_INK})('${id} canvas')`);

export async function sumOfBars(page: Page): Promise<number> {
  const percents = await page.locator('#bars .percent').allTextContents();
  return percents.reduce((sum, text) => sum + (parseInt(text, 10) || 0), 0);
}

/** Draws a one with the mouse. */
export async function drawOne(page: Page): Promise<void> {
  await page.locator('#pad').scrollIntoViewIfNeeded();
  const box = (await page.locator('#pad').boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.8, { steps: 10 });
  await page.mouse.up();
}

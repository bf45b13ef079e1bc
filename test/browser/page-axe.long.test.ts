import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { startProxy } from '../support/proxy.ts';
import { testCoordinator, tinyTopology } from '../support/test-coordinator.ts';
import { PLAIN_NAME, startPageRun, waitForText, type PageRun } from './page-run.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 64 });
const topology = tinyTopology([28, 28, 1], 10);

const VIEWS = ['light', 'dark'].flatMap((colorScheme) => [
  { name: `on a phone, ${colorScheme}`, colorScheme, width: 390, height: 844 },
  { name: `on a desktop, ${colorScheme}`, colorScheme, width: 1280, height: 900 },
]) as readonly {
  readonly name: string;
  readonly colorScheme: 'light' | 'dark';
  readonly width: number;
  readonly height: number;
}[];

/** Checks the page of a state in each view. */
async function checkPage(page: Page, state: string): Promise<void> {
  await page.evaluate(axe);
  for (const { name, colorScheme, width, height } of VIEWS) {
    const what = `${state}, ${name}`;
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    const { violations } = await page.evaluate(() =>
      (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
    );
    expect(
      violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]),
      what,
    ).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth'), what).toBeLessThanOrEqual(width);
  }
}

describeInBrowser('axe finds no violation, and the page does not scroll sideways', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  test('in each state, on a phone and on a desktop, light and dark', async () => {
    // The test injects axe by eval, which the page's security policy forbids.
    const context = await run.browser.newContext({ bypassCSP: true });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
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

    const coordinator = await testCoordinator(dataset, { topology, token: 'secret' });
    const proxy = await startProxy();
    proxy.pointTo(coordinator.port);
    const address = `http://${PLAIN_NAME}:${proxy.port}/`;
    await page.goto(address);
    await waitForText(page, '#state', /^This run needs a token$/);
    await checkPage(page, 'without the token');

    await page.getByRole('textbox', { name: 'Token' }).fill('secret');
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

    // Without a token, a page under a foreign host name can be read but cannot join.
    const closed = await testCoordinator(dataset, { topology });
    await page.goto(`http://${PLAIN_NAME}:${closed.port}/`);
    await waitForText(page, '#state', /^Cannot reach the run$/);
    await checkPage(page, 'never joined');
    await closed.close('The test is over.');
    proxy.close();
    await context.close();
  });
});

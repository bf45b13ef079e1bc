import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { startProxy } from '../support/proxy.ts';
import { testCoordinator, tinyTopology } from '../support/test-coordinator.ts';
import { PLAIN_NAME, startPageRun, textIs, type PageRun } from './page-run.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 64 });
const topology = tinyTopology([28, 28, 1], 10);

async function checkPage(page: Page, what: string): Promise<void> {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  expect(
    violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]),
    what,
  ).toEqual([]);
  const { width } = page.viewportSize()!;
  expect(await page.evaluate('document.documentElement.scrollWidth'), what).toBeLessThanOrEqual(width);
}

describeInBrowser('axe finds nothing, and nothing sticks out', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  test.each([
    ['phone', 'light', 390, 844],
    ['phone', 'dark', 390, 844],
    ['desktop', 'light', 1280, 900],
    ['desktop', 'dark', 1280, 900],
  ] as const)(
    'on a %s, %s',
    async (_, colorScheme, width, height) => {
      // axe comes by eval, which the page's policy does not let in.
      const context = await run.browser.newContext({
        bypassCSP: true,
        colorScheme,
        viewport: { width, height },
      });
      const page = await context.newPage();
      page.setDefaultTimeout(60_000);
      await page.goto(`${run.address}#secret`);
      await textIs(page, '#people-title', /worker/);
      await page.getByRole('button', { name: 'Draw a 3' }).click();
      await page.locator('#bars .best').waitFor();
      await checkPage(page, 'contributing');

      const coordinator = await testCoordinator(dataset, { topology, token: 'secret' });
      const proxy = await startProxy();
      proxy.pointTo(coordinator.port);
      const address = `http://${PLAIN_NAME}:${proxy.port}/`;
      await page.goto(address);
      await textIs(page, '#state', /^This run needs a token$/);
      await checkPage(page, 'without the token');

      await page.getByRole('textbox', { name: 'Token' }).fill('secret');
      await page.getByRole('button', { name: 'Join' }).click();
      await textIs(page, '#state', /^Contributing$/);
      const [member] = coordinator.pool.workers.values();
      coordinator.pool.setStandby(member!, 'A step takes 9 ms without it.');
      await textIs(page, '#state', /^Standing by$/);
      await page.locator('#invite-code').waitFor();
      await checkPage(page, 'standing by');

      proxy.pointTo(null);
      await textIs(page, '#state', /^Connection lost$/);
      await checkPage(page, 'cut off');

      proxy.pointTo(coordinator.port);
      await textIs(page, '#state', /^Contributing$/);
      await coordinator.close('The run is finished.');
      await textIs(page, '#state', /^The run is over$/);
      await checkPage(page, 'after the end');

      // Without a token, a page by a name that is not its own may be read and not join.
      const closed = await testCoordinator(dataset, { topology });
      await page.goto(`http://${PLAIN_NAME}:${closed.port}/`);
      await textIs(page, '#state', /^Cannot reach the run$/);
      await checkPage(page, 'never joined');
      await closed.close('The test is over.');
      proxy.close();
      await context.close();
    },
    240_000,
  );
});

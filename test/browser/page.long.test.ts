import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeInBrowser } from '../support/in-browser.ts';
import { policyBreaches, startPageRun, sumOfBars, textIs, type PageRun } from './page-run.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// What runs in the page is text: these types are Node's.
const KEEP_LOCKS = `
  locks = [];
  const request = WakeLock.prototype.request;
  WakeLock.prototype.request = async function (...what) {
    const lock = await request.apply(this, what);
    locks.push(lock);
    return lock;
  };
`;
/** Chromium's own says that a machine without one is charging. */
const OWN_BATTERY = `
  battery = Object.assign(new EventTarget(), { charging: false, level: 0.5 });
  navigator.getBattery = () => Promise.resolve(battery);
`;

describeInBrowser('the page in Chromium', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  test('a tab keeps the machine awake while it contributes, and not while it pauses', async () => {
    const { page, trouble } = await run.open('', KEEP_LOCKS);
    const held = () => page.evaluate<number>('locks.filter(({ released }) => !released).length');
    await textIs(page, '#state', /^Contributing$/);
    await expect.poll(held).toBe(1);
    await page.getByRole('button', { name: 'Pause' }).click();
    await expect.poll(held).toBe(0);
    await page.getByRole('button', { name: 'Continue' }).click();
    await expect.poll(held).toBe(1);
    expect(trouble).toEqual([]);
  }, 120_000);

  test('a tab pauses when the battery runs low, says so, and goes on when it is charged', async () => {
    const { page, trouble } = await run.open('', OWN_BATTERY);
    await textIs(page, '#state', /^Contributing$/);
    await page.evaluate("battery.level = 0.19; battery.dispatchEvent(new Event('levelchange'))");
    await textIs(page, '#state', /^Paused$/);
    await page.getByText('Paused because the battery is below 20%.').waitFor();
    await expect.poll(() => run.coordinator.pool.members.size).toBe(0);
    await page.evaluate("battery.charging = true; battery.dispatchEvent(new Event('chargingchange'))");
    await textIs(page, '#state', /^Contributing$/);
    expect(trouble).toEqual([]);
  }, 120_000);

  test('a tab that only watches computes nothing, and reads a drawing with the weights of the feed', async () => {
    const worker = await run.open('');
    await textIs(worker.page, '#state', /^Contributing$/);
    const { page, trouble } = await run.open('?watch');
    await textIs(page, '#state', /^Watching$/);
    await textIs(page, '#epoch', /^Epoch/);
    await textIs(page, '#people-title', /^1 worker$/);
    await page.getByRole('button', { name: 'Draw a 7' }).click();
    await expect.poll(() => sumOfBars(page), { timeout: 30_000 }).toBeGreaterThanOrEqual(95);
    expect(run.coordinator.pool.members.size).toBe(1);

    await worker.page.getByRole('button', { name: 'Only watch' }).click();
    await textIs(worker.page, '#state', /^Watching$/);
    expect(worker.page.url()).toContain('?watch#secret');
    await textIs(page, '#people-title', /^No workers connected$/);
    expect(await policyBreaches(page)).toEqual([]);
    expect([...trouble, ...worker.trouble]).toEqual([]);
    await worker.page.close();
  }, 120_000);

  test.each([
    ['phone', 'light', 390, 844],
    ['phone', 'dark', 390, 844],
    ['desktop', 'light', 1280, 900],
    ['desktop', 'dark', 1280, 900],
  ] as const)(
    'axe finds nothing on a %s, %s, and nothing sticks out',
    async (_, colorScheme, width, height) => {
      // axe comes by eval, which the page's policy does not let in.
      const context = await run.browser.newContext({
        bypassCSP: true,
        colorScheme,
        viewport: { width, height },
      });
      const page = await context.newPage();
      await page.goto(`${run.address}#secret`);
      await textIs(page, '#people-title', /worker/);
      await page.getByRole('button', { name: 'Draw a 3' }).click();
      await page.locator('#bars .best').waitFor();
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() =>
        (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
      );
      expect(violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)])).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      await context.close();
    },
    60_000,
  );
});

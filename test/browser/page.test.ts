import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { drawDigits } from '../../shared/data/drawn-digits.ts';
import { NO_GPU, openChromium } from '../support/chromium.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { troubleOf } from '../support/page-trouble.ts';
import { testCoordinator, tinyTopology, type TestCoordinator } from '../support/test-coordinator.ts';
import { trainWatched } from '../support/training-run.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// What runs in the page is text: these types are Node's.
const NOTE_BREACHES =
  'broken = []; addEventListener("securitypolicyviolation", (event) => broken.push(event.violatedDirective))';
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
const COUNT_INK = `(selector) => {
  const canvas = document.querySelector(selector);
  if (canvas === null) return 0;
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, i) => i % 4 === 3 && value > 0).length;
}`;
const dataset = drawDigits({ seed: 1, trainCount: 640, testCount: 64 });

describeInBrowser('the page in Chromium', () => {
  let coordinator: TestCoordinator;
  let browser: Browser;
  let training: Promise<unknown>;
  let address: string;
  const stop = new AbortController();

  beforeAll(async () => {
    coordinator = await testCoordinator(dataset, {
      topology: tinyTopology([28, 28, 1], 10),
      token: 'secret',
      batchSize: 64,
      epochs: 100_000,
    });
    address = coordinator.url.replace('ws', 'http');
    training = trainWatched(coordinator, dataset, stop.signal, 20).catch(() => undefined);
    browser = await openChromium(NO_GPU);
  });

  afterAll(async () => {
    await browser.close();
    stop.abort();
    coordinator.stop();
    await coordinator.close('The test is over.');
    await training;
  });

  /** @param before what runs in the page ahead of it */
  const open = async (search: string, before = '') => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(60_000);
    // Also when a test fails: the next one counts the tabs.
    onTestFinished(() => page.close());
    await page.addInitScript(`${NOTE_BREACHES}; ${before}`);
    const trouble = troubleOf(page);
    await page.goto(`${address}${search}#secret`);
    return { page, trouble };
  };
  const policyBreaches = (page: Page) => page.evaluate<string[]>('broken');
  const textIs = (page: Page, id: string, pattern: RegExp) =>
    page.locator(id).filter({ hasText: pattern }).waitFor({ timeout: 60_000 });
  const inked = (page: Page, id: string) => page.evaluate<number>(`(${COUNT_INK})('${id} canvas')`);
  const sumOfBars = async (page: Page) => {
    const percents = await page.locator('#bars .percent').allTextContents();
    return percents.reduce((sum, text) => sum + (parseInt(text, 10) || 0), 0);
  };
  /** A one, drawn with the mouse. */
  const drawOne = async (page: Page) => {
    await page.locator('#pad').scrollIntoViewIfNeeded();
    const box = (await page.locator('#pad').boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.8, { steps: 10 });
    await page.mouse.up();
  };

  test('a tab joins, contributes, shows the run, reads a drawing, pauses and goes on', async () => {
    const { page, trouble } = await open('');
    await textIs(page, '#state', /^Contributing$/);
    await textIs(page, '#shards', /[1-9]/);
    await textIs(page, '#headline', /drawn-digits/);
    await textIs(page, '#epoch', /^Epoch \d+ of 100000 · step \d+ of 10$/);
    await page.locator('#people .own').filter({ hasText: 'this tab' }).waitFor();
    await expect.poll(() => inked(page, '#loss-plot'), { timeout: 20_000 }).toBeGreaterThan(500);
    expect(await inked(page, '#accuracy-plot')).toBeGreaterThan(500);

    await drawOne(page);
    await expect.poll(() => sumOfBars(page), { timeout: 20_000 }).toBeGreaterThanOrEqual(95);
    expect(await page.locator('#bars .best').count()).toBe(1);
    await textIs(page, '#guess', /^The model reads \d\.$/);
    await page.getByRole('button', { name: 'Clear' }).click();
    await expect.poll(() => sumOfBars(page)).toBe(0);

    await page.locator('label', { hasText: '25%' }).click();
    expect(await page.evaluate("localStorage.getItem('gradcast.share')")).toBe('25');

    await page.getByRole('button', { name: 'Pause' }).press('Enter');
    await textIs(page, '#state', /^Paused$/);
    await expect.poll(() => coordinator.pool.members.size).toBe(0);
    const shards = await page.locator('#shards').textContent();
    await page.getByRole('button', { name: 'Continue' }).click();
    await textIs(page, '#state', /^Contributing$/);
    await expect.poll(() => page.locator('#shards').textContent()).not.toBe(shards);

    expect(await policyBreaches(page)).toEqual([]);
    expect(trouble).toEqual([]);
  }, 120_000);

  test('a tab keeps the machine awake while it contributes, and not while it pauses', async () => {
    const { page, trouble } = await open('', KEEP_LOCKS);
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
    const { page, trouble } = await open('', OWN_BATTERY);
    await textIs(page, '#state', /^Contributing$/);
    await page.evaluate("battery.level = 0.19; battery.dispatchEvent(new Event('levelchange'))");
    await textIs(page, '#state', /^Paused$/);
    await page.getByText('Paused because the battery is below 20%.').waitFor();
    await expect.poll(() => coordinator.pool.members.size).toBe(0);
    await page.evaluate("battery.charging = true; battery.dispatchEvent(new Event('chargingchange'))");
    await textIs(page, '#state', /^Contributing$/);
    expect(trouble).toEqual([]);
  }, 120_000);

  test('a tab that only watches computes nothing, and reads a drawing with the weights of the feed', async () => {
    const worker = await open('');
    await textIs(worker.page, '#state', /^Contributing$/);
    const { page, trouble } = await open('?watch');
    await textIs(page, '#state', /^Watching$/);
    await textIs(page, '#epoch', /^Epoch/);
    await textIs(page, '#people-title', /^1 worker$/);
    expect(page.workers()).toHaveLength(0);
    await page.getByRole('button', { name: 'Draw a 7' }).click();
    await expect.poll(() => sumOfBars(page), { timeout: 30_000 }).toBeGreaterThanOrEqual(95);
    expect(coordinator.pool.members.size).toBe(1);

    await worker.page.getByRole('button', { name: 'Only watch' }).click();
    await textIs(worker.page, '#state', /^Watching$/);
    expect(worker.page.url()).toContain('?watch#secret');
    await textIs(page, '#people-title', /^Nobody computes now$/);
    expect(await policyBreaches(page)).toEqual([]);
    expect([...trouble, ...worker.trouble]).toEqual([]);
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
      const context = await browser.newContext({ bypassCSP: true, colorScheme, viewport: { width, height } });
      onTestFinished(() => context.close());
      const page = await context.newPage();
      await page.goto(`${address}#secret`);
      await textIs(page, '#people-title', /worker/);
      await page.getByRole('button', { name: 'Draw a 3' }).click();
      await page.locator('#bars .best').waitFor();
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() =>
        (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
      );
      expect(violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)])).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    },
    180_000,
  );
});

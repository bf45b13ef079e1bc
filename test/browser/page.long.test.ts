import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { selfSignedCertificate } from '../../coordinator/server/tls.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { collectPageErrors } from '../support/page-errors.ts';
import { startTlsPrefixProxy } from '../support/tls-prefix-proxy.ts';
import { policyBreaches, startPageRun, sumOfBars, textIs, type PageRun } from './page-run.ts';

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
    await expect.poll(() => run.coordinator.pool.workers.size).toBe(0);
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
    expect(run.coordinator.pool.workers.size).toBe(1);

    await worker.page.getByRole('button', { name: 'Only watch' }).click();
    await textIs(worker.page, '#state', /^Watching$/);
    expect(worker.page.url()).toContain('?watch#secret');
    await textIs(page, '#people-title', /^No workers connected$/);
    expect(await policyBreaches(page)).toEqual([]);
    expect([...trouble, ...worker.trouble]).toEqual([]);
    await worker.page.close();
  }, 120_000);

  test('behind a proxy with TLS and a path it joins, shows, reads, leaves and comes back', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gradcast-proxy-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const tls = await selfSignedCertificate(folder, [], new Date());
    const proxy = await startTlsPrefixProxy(tls, '/train/', run.coordinator.port);
    onTestFinished(() => proxy.close());
    const context = await run.browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    const trouble = collectPageErrors(page);
    await page.goto(`https://127.0.0.1:${proxy.port}/train/#secret`);
    expect(await page.evaluate('isSecureContext')).toBe(true);
    await textIs(page, '#state', /^Contributing$/);
    await textIs(page, '#samples', /[1-9]/);
    await page.getByRole('button', { name: 'Draw a 1' }).click();
    await expect.poll(() => sumOfBars(page), { timeout: 30_000 }).toBeGreaterThanOrEqual(95);
    await page.getByRole('button', { name: 'Only watch' }).click();
    await textIs(page, '#state', /^Watching$/);
    await page.getByRole('button', { name: 'Join in' }).click();
    await textIs(page, '#state', /^Contributing$/);
    expect(trouble).toEqual([]);
    await context.close();
  }, 120_000);
});

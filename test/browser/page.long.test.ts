import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { selfSignedCertificate } from '../../coordinator/server/tls.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { collectPageErrors } from '../support/page-errors.ts';
import { startTlsPrefixProxy } from '../support/tls-prefix-proxy.ts';
import { policyViolations, startPageRun, sumOfBars, waitForText, type PageRun } from './page-run.ts';

// Scripts of the page are strings, as the types of tests are Node's.
const RECORD_LOCKS = `
  locks = [];
  const request = WakeLock.prototype.request;
  WakeLock.prototype.request = async function (...args) {
    const lock = await request.apply(this, args);
    locks.push(lock);
    return lock;
  };
`;
/** A battery that the test controls: Chromium reports a charging one on a machine without a battery. */
const FAKE_BATTERY = `
  battery = Object.assign(new EventTarget(), { charging: false, level: 0.5 });
  navigator.getBattery = () => Promise.resolve(battery);
`;

describeInBrowser('the page in Chromium', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  test('a tab keeps the machine awake while it contributes, and not while it pauses', async () => {
    const { page, errors } = await run.open('', RECORD_LOCKS);
    const heldLocks = () => page.evaluate<number>('locks.filter(({ released }) => !released).length');
    await waitForText(page, '#state', /^Contributing$/);
    await expect.poll(heldLocks).toBe(1);
    await page.getByRole('button', { name: 'Pause' }).click();
    await expect.poll(heldLocks).toBe(0);
    await page.getByRole('button', { name: 'Continue' }).click();
    await expect.poll(heldLocks).toBe(1);
    expect(errors).toEqual([]);
  }, 120_000);

  test('a tab pauses when the battery runs low, says so, and continues when the machine is plugged in', async () => {
    const { page, errors } = await run.open('', FAKE_BATTERY);
    await waitForText(page, '#state', /^Contributing$/);
    await page.evaluate("battery.level = 0.19; battery.dispatchEvent(new Event('levelchange'))");
    await waitForText(page, '#state', /^Paused$/);
    await page.getByText('Paused because the battery is below 20%.').waitFor();
    await expect.poll(() => run.coordinator.pool.workers.size).toBe(0);
    await page.evaluate("battery.charging = true; battery.dispatchEvent(new Event('chargingchange'))");
    await waitForText(page, '#state', /^Contributing$/);
    expect(errors).toEqual([]);
  }, 120_000);

  test('a tab that only watches computes nothing, and reads a drawing with the weights of the feed', async () => {
    const worker = await run.open('');
    await waitForText(worker.page, '#state', /^Contributing$/);
    const { page, errors } = await run.open('?watch');
    await waitForText(page, '#state', /^Watching$/);
    await waitForText(page, '#epoch', /^Epoch/);
    await waitForText(page, '#workers-title', /^1 worker$/);
    await page.getByRole('button', { name: 'Draw a 7' }).click();
    await expect.poll(() => sumOfBars(page), { timeout: 30_000 }).toBeGreaterThanOrEqual(95);
    expect(run.coordinator.pool.workers.size).toBe(1);

    await worker.page.getByRole('button', { name: 'Only watch' }).click();
    await waitForText(worker.page, '#state', /^Watching$/);
    expect(worker.page.url()).toContain('?watch#secret');
    await waitForText(page, '#workers-title', /^No workers connected$/);
    expect(await policyViolations(page)).toEqual([]);
    expect([...errors, ...worker.errors]).toEqual([]);
    await worker.page.close();
  }, 120_000);

  test('a tab behind a proxy with TLS and a path joins, reads a drawing, leaves and joins again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gradcast-proxy-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const tls = await selfSignedCertificate(folder, [], new Date());
    const proxy = await startTlsPrefixProxy(tls, '/train/', run.coordinator.port);
    onTestFinished(() => proxy.close());
    const page = await run.browser.newPage();
    onTestFinished(() => page.close());
    const errors = collectPageErrors(page);
    await page.goto(`https://127.0.0.1:${proxy.port}/train/#secret`);
    expect(await page.evaluate('isSecureContext')).toBe(true);
    await waitForText(page, '#state', /^Contributing$/);
    await waitForText(page, '#own-samples', /[1-9]/);
    await page.getByRole('button', { name: 'Draw a 1' }).click();
    await expect.poll(() => sumOfBars(page), { timeout: 30_000 }).toBeGreaterThanOrEqual(95);
    await page.getByRole('button', { name: 'Only watch' }).click();
    await waitForText(page, '#state', /^Watching$/);
    await page.getByRole('button', { name: 'Join in' }).click();
    await waitForText(page, '#state', /^Contributing$/);
    expect(errors).toEqual([]);
  }, 120_000);
});

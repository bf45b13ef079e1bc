import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeInBrowser } from '../support/in-browser.ts';
import { drawOne, inked, policyBreaches, startPageRun, sumOfBars, textIs, type PageRun } from './page-run.ts';

describeInBrowser('the page in Chromium', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  test('a tab joins, contributes, shows the run, reads a drawing, pauses and goes on', async () => {
    const { page, trouble } = await run.open('');
    await textIs(page, '#state', /^Contributing$/);
    await textIs(page, '#samples', /[1-9]/);
    await textIs(page, '#headline', /drawn-digits/);
    await textIs(page, '#epoch', /^Epoch \d+ of 100000 · step \d+ of 10$/);
    await page.locator('#people .own').filter({ hasText: 'this tab' }).waitFor();
    await expect.poll(() => inked(page, '#loss-plot'), { timeout: 20_000 }).toBeGreaterThan(500);
    await expect.poll(() => inked(page, '#accuracy-plot'), { timeout: 20_000 }).toBeGreaterThan(500);

    await drawOne(page);
    await expect.poll(() => sumOfBars(page), { timeout: 20_000 }).toBeGreaterThanOrEqual(95);
    expect(await page.locator('#bars .best').count()).toBe(1);
    await textIs(page, '#guess', /^The model (reads \d|is not sure: perhaps \d)\.$/);
    await page.getByRole('button', { name: 'Clear' }).click();
    await expect.poll(() => sumOfBars(page)).toBe(0);

    await page.locator('label', { hasText: '25%' }).click();
    expect(await page.evaluate("localStorage.getItem('gradcast.share')")).toBe('25');

    await page.getByRole('button', { name: 'Pause' }).press('Enter');
    await textIs(page, '#state', /^Paused$/);
    await expect.poll(() => run.coordinator.pool.workers.size).toBe(0);
    await page.getByRole('button', { name: 'Continue' }).click();
    await textIs(page, '#state', /^Contributing$/);
    await textIs(page, '#samples', /[1-9]/);

    expect(await policyBreaches(page)).toEqual([]);
    expect(trouble).toEqual([]);
  }, 120_000);

  test('over plain http from another machine a tab draws, joins, leaves, watches and comes back', async () => {
    const { page, trouble } = await run.open('', '', run.plainAddress);
    expect(await page.evaluate('isSecureContext')).toBe(false);
    await textIs(page, '#state', /^Contributing$/);
    await drawOne(page);
    await expect.poll(() => sumOfBars(page), { timeout: 20_000 }).toBeGreaterThanOrEqual(95);

    await page.getByRole('button', { name: 'Only watch' }).click();
    await textIs(page, '#state', /^Watching$/);
    await expect.poll(() => run.coordinator.pool.workers.size).toBe(0);
    await page.getByRole('button', { name: 'Clear' }).click();
    await drawOne(page);
    await expect.poll(() => sumOfBars(page), { timeout: 20_000 }).toBeGreaterThanOrEqual(95);

    await page.getByRole('button', { name: 'Join in' }).click();
    await textIs(page, '#state', /^Contributing$/);
    await expect.poll(() => run.coordinator.pool.workers.size).toBe(1);
    await page.reload();
    await textIs(page, '#state', /^Contributing$/);
    expect(await policyBreaches(page)).toEqual([]);
    expect(trouble).toEqual([]);
  }, 120_000);
});

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { testCoordinator, tinyTopology } from '../support/test-coordinator.ts';
import { PLAIN_NAME, startPageRun, waitForText, type PageRun } from './page-run.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 64 });

describeInBrowser('the page shows the state of its tab', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  test.each([
    ['', 'Join', 'Contributing'],
    ['?watch', 'Watch', 'Watching'],
  ])(
    'it asks once for a missing token (%s)',
    async (search, label, state) => {
      const refusals: string[] = [];
      const stop = run.coordinator.pool.subscribe({ refused: (reason) => refusals.push(reason) });
      const { page } = await run.open(search, '', run.address, '');
      await waitForText(page, '#state', /^This run needs a token$/);
      expect(await page.locator('#main-button').isVisible()).toBe(false);
      expect(
        await page.getByText('token', { exact: false }).filter({ visible: true }).count(),
      ).toBeGreaterThan(0);
      expect(await page.locator('body').innerText()).not.toMatch(/--\w/);
      const field = page.getByRole('textbox', { name: 'Token' });
      await field.fill('guess');
      await page.getByRole('button', { name: label, exact: true }).click();
      await waitForText(page, '#state', /^Wrong token$/);
      expect(refusals.length).toBeLessThanOrEqual(4);
      stop();
      await field.fill('secret');
      await field.press('Enter');
      await waitForText(page, '#state', new RegExp(`^${state}$`));
      expect(page.url()).toBe(`${run.address}/${search}#secret`);
      expect(await field.isVisible()).toBe(false);
    },
    60_000,
  );

  /** A tab on standby. Its run makes no steps, so that only the test changes the standby. */
  async function standbyTab(name = '127.0.0.1') {
    const coordinator = await testCoordinator(dataset, {
      topology: tinyTopology([28, 28, 1], 10),
      token: 'secret',
    });
    onTestFinished(() => coordinator.close('The test is over.'));
    const address = coordinator.url.replace('ws', 'http').replace('127.0.0.1', name);
    const { page, errors } = await run.open('', '', address);
    await waitForText(page, '#state', /^Contributing$/);
    const [worker] = coordinator.pool.workers.values();
    coordinator.pool.setStandby(worker!, 'A step takes 9 ms without it.');
    await waitForText(page, '#state', /^On standby$/);
    return { page, errors, address, rejoin: () => coordinator.pool.setStandby(worker!, null) };
  }

  test('a chosen name is that of the next join, and is kept', async () => {
    const { page, errors } = await run.open('?name=Ann%20B');
    const { workers } = run.coordinator.pool;
    const names = () => [...workers.values()].map(({ name }) => name);
    await expect.poll(names).toEqual(['Ann B']);
    const field = page.getByRole('textbox', { name: 'Name in the list' });
    expect(await field.inputValue()).toBe('Ann B');
    await field.fill('  Zoë ' + 'x'.repeat(60));
    expect((await field.inputValue()).length).toBeLessThanOrEqual(40);
    await field.fill('Zoë ');
    await field.blur();
    expect(page.url()).toBe(`${run.address}/#secret`);
    expect(names()).toEqual(['Ann B']);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Continue' }).click();
    await expect.poll(names).toEqual(['Zoë']);
    await page.reload();
    await expect.poll(names).toEqual(['Zoë']);
    await field.fill('');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Continue' }).click();
    await expect.poll(names).toEqual([expect.stringMatching(/^Chrome/)]);
    expect(errors).toEqual([]);
  }, 60_000);

  test('why an engine was chosen is behind technical details', async () => {
    const { page } = await run.open('');
    await waitForText(page, '#state', /^Contributing$/);
    const why = page.locator('#engine-why');
    await expect.poll(() => why.textContent()).not.toBe('');
    expect(await why.isVisible()).toBe(false);
    await page.getByText('Technical details').click();
    await why.waitFor();
    await waitForText(page, '#own-traffic', /^Sent .* received /);
  }, 60_000);

  test('on standby it says so, and shows how other devices join', async () => {
    const { page, errors, address, rejoin } = await standbyTab(PLAIN_NAME);
    const link = page.locator('#invite-link');
    expect(await link.getAttribute('href')).toBe(`${address}/#secret`);
    expect((await page.locator('#invite-code').boundingBox())!.width).toBeGreaterThan(100);
    expect(await page.locator('#note').textContent()).toBe('');
    await waitForText(page, '#workers .own', /standby/);
    rejoin();
    await waitForText(page, '#state', /^Contributing$/);
    await link.waitFor({ state: 'hidden' });
    expect(errors).toEqual([]);
  }, 60_000);

  test('on a machine that other devices cannot reach it shows no QR code', async () => {
    const { page } = await standbyTab();
    await page.getByText('other devices cannot reach this run').waitFor();
    expect(await page.locator('#invite-code').isVisible()).toBe(false);
  }, 60_000);
});

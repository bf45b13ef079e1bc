import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { testCoordinator, tinyTopology } from '../support/test-coordinator.ts';
import { PLAIN_NAME, startPageRun, textIs, type PageRun } from './page-run.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 64 });

describeInBrowser('what the page says of its tab', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  test.each([
    ['', 'Join', 'Contributing'],
    ['?watch', 'Watch', 'Watching'],
  ])(
    'without the token it asks for it, once (%s)',
    async (search, label, state) => {
      const refusals: string[] = [];
      const stop = run.coordinator.pool.subscribe({ refused: (reason) => refusals.push(reason) });
      const { page } = await run.open(search, '', run.address, '');
      await textIs(page, '#state', /^This run needs a token$/);
      expect(await page.locator('#toggle').isVisible()).toBe(false);
      expect(
        await page.getByText('token', { exact: false }).filter({ visible: true }).count(),
      ).toBeGreaterThan(0);
      expect(await page.locator('body').innerText()).not.toMatch(/--\w/);
      const field = page.getByRole('textbox', { name: 'Token' });
      await field.fill('guess');
      await page.getByRole('button', { name: label, exact: true }).click();
      await textIs(page, '#state', /^Wrong token$/);
      expect(refusals.length).toBeLessThanOrEqual(4);
      stop();
      await field.fill('secret');
      await field.press('Enter');
      await textIs(page, '#state', new RegExp(`^${state}$`));
      expect(page.url()).toBe(`${run.address}/${search}#secret`);
      expect(await field.isVisible()).toBe(false);
    },
    60_000,
  );

  /** A tab of a run that does not step: who is on standby is for the test to say. */
  async function standbyTab(name = '127.0.0.1') {
    const coordinator = await testCoordinator(dataset, {
      topology: tinyTopology([28, 28, 1], 10),
      token: 'secret',
    });
    onTestFinished(() => coordinator.close('The test is over.'));
    const address = coordinator.url.replace('ws', 'http').replace('127.0.0.1', name);
    const { page, trouble } = await run.open('', '', address);
    await textIs(page, '#state', /^Contributing$/);
    const [member] = coordinator.pool.workers.values();
    coordinator.pool.setStandby(member!, 'A step takes 9 ms without it.');
    await textIs(page, '#state', /^Standing by$/);
    return { page, trouble, address, rejoin: () => coordinator.pool.setStandby(member!, null) };
  }

  test('on standby it says so, and how other devices join', async () => {
    const { page, trouble, address, rejoin } = await standbyTab(PLAIN_NAME);
    const link = page.locator('#invite-link');
    expect(await link.getAttribute('href')).toBe(`${address}/#secret`);
    expect((await page.locator('#invite-code').boundingBox())!.width).toBeGreaterThan(100);
    expect(await page.locator('#note').textContent()).toBe('');
    await textIs(page, '#people .own', /standby/);
    rejoin();
    await textIs(page, '#state', /^Contributing$/);
    expect(await link.isVisible()).toBe(false);
    expect(trouble).toEqual([]);
  }, 60_000);

  test('on a machine that others cannot reach it shows no code that leads nowhere', async () => {
    const { page } = await standbyTab();
    await page.getByText('other devices cannot reach this run').waitFor();
    expect(await page.locator('#invite-code').isVisible()).toBe(false);
  }, 60_000);
});

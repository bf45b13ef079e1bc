import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeInBrowser } from '../support/in-browser.ts';
import { startPageRun, type PageRun } from './page-run.ts';

const MODULE = readFileSync('dist/worker-browser/index.js');
/** A page that is not gradcast's own, behind the coordinator's address. */
const PAGE = `<!doctype html>
<script type="module">
  import { contribute } from './gradcast-browser.js';
  globalThis.statuses = [];
  globalThis.contribution = contribute(location.origin + '/' + location.hash, {
    name: 'Own page',
    onStatus: (status) => statuses.push(status),
  });
</script>`;

describeInBrowser('contribute() in a page of its own', () => {
  let run: PageRun;
  beforeAll(async () => void (run = await startPageRun()));
  afterAll(() => run.close());

  test('joins, computes, pauses, resumes and stops', async () => {
    const page = await run.browser.newPage();
    await page.route('**/own.html', (route) => route.fulfill({ contentType: 'text/html', body: PAGE }));
    await page.route('**/gradcast-browser.js', (route) =>
      route.fulfill({ contentType: 'text/javascript', body: MODULE }),
    );
    await page.goto(`${run.address}/own.html#secret`);
    const { workers } = run.coordinator.pool;
    const state = () => page.evaluate<string>('contribution.status.state');

    await expect.poll(state).toBe('contributing');
    await expect.poll(() => [...workers.values()].map(({ name }) => name)).toEqual(['Own page']);
    await page.evaluate('contribution.pause()');
    await expect.poll(state).toBe('paused');
    await expect.poll(() => workers.size).toBe(0);
    await page.evaluate('contribution.resume()');
    await expect.poll(state).toBe('contributing');
    await expect.poll(() => workers.size).toBe(1);
    await page.evaluate('contribution.stop()');
    await expect.poll(() => workers.size).toBe(0);
    const states = await page.evaluate<string[]>('statuses.map(({ state }) => state)');
    expect(states).toEqual(expect.arrayContaining(['connecting', 'loading', 'contributing', 'paused']));
    await page.close();
  }, 120_000);
});

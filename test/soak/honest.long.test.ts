import { expect, test } from 'vitest';
import { openChromium } from '../support/chromium.ts';
import { someDigits } from '../support/data.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { describeNative } from '../support/native.ts';
import { soakSize } from '../support/soak-size.ts';
import { testCoordinator, workersReady } from '../support/test-coordinator.ts';
import { trainToTheEnd } from '../support/training-run.ts';
import { spawnWorker } from '../support/worker-process.ts';

const steps = soakSize('STEPS', 300, 300);
const audit = Number(process.env.AUDIT ?? 0.5);
const BATCH = 24;

describeNative(() => {
  describeInBrowser('with a browser', () => {
    test('native TensorFlow, WebAssembly and a software GPU are honest in the eyes of each other', async () => {
      const dataset = await someDigits(steps * BATCH);
      const coordinator = await testCoordinator(dataset, { batchSize: BATCH, audit });
      const workers = [
        spawnWorker(coordinator.url, '--engine', 'native', '--name', 'native'),
        spawnWorker(coordinator.url, '--engine', 'wasm', '--name', 'wasm'),
      ];
      const browser = await openChromium();
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${coordinator.port}/?engine=webgl`);
      await workersReady(coordinator, 3);
      const members = [...coordinator.pool.members.values()];
      await trainToTheEnd(coordinator, dataset);
      for (const { name, engine, accepted } of members) {
        console.log(`  ${name}: ${engine.backend}, ${accepted} answers counted`);
      }
      expect(new Set(members.map(({ engine }) => engine.backend))).toEqual(
        new Set(['tensorflow', 'wasm', 'webgl']),
      );
      for (const { accepted } of members) expect(accepted).toBeGreaterThan(0);
      expect(coordinator.lines.filter((line) => /differ|expelled|left/.test(line))).toEqual([]);
      await coordinator.close('The run is finished.');
      await browser.close();
      await Promise.all(workers.map(({ ended }) => ended));
    });
  });
});

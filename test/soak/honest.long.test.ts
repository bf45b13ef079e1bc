import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openChromium } from '../support/chromium.ts';
import { loadDigits } from '../support/digits.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { describeNative } from '../support/native.ts';
import { soakSize } from '../support/soak-size.ts';
import { testCoordinator, waitForWorkersReady } from '../support/test-coordinator.ts';
import { trainToEnd } from '../support/training-run.ts';
import { spawnWorker, type WorkerProcess } from '../support/worker-process.ts';
import { openThreadedEngine } from '../../worker-node/thread/threaded-engine.ts';

const threadFile = fileURLToPath(new URL('../../dist/worker-node/thread/engine-thread.js', import.meta.url));
const steps = soakSize('STEPS', 20, 200);
const audit = Number(process.env.AUDIT ?? 0.5);
const BATCH = 24;
/** Number of steps before the other workers join. */
const ALONE = 2;

describeNative(() => {
  describeInBrowser('with a browser', () => {
    test('the coordinator accepts answers of native TensorFlow, WebAssembly and a software GPU as honest', async () => {
      const dataset = await loadDigits(steps * BATCH);
      const coordinator = await testCoordinator(dataset, {
        batchSize: BATCH,
        audit,
        epochs: 1_000,
        openOwnEngine: (choice) => openThreadedEngine({ file: threadFile, choice, note: () => undefined }),
      });
      const browser = await openChromium();
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${coordinator.port}/?engine=webgl`);
      // The software GPU computes the first steps alone: beside the much faster engines, none of its answers may be in time.
      await waitForWorkersReady(coordinator, 1);
      const joined = [...coordinator.pool.workers.values()];
      const workers: WorkerProcess[] = [];
      let together = 0;
      await trainToEnd(coordinator, dataset, {
        beforeStep(done) {
          if (done !== ALONE) return;
          for (const engine of ['native', 'wasm']) {
            workers.push(spawnWorker(coordinator.url, '--engine', engine, '--name', engine));
          }
        },
        shouldStop() {
          if (coordinator.pool.workers.size < 3) return false;
          if (together === 0) joined.splice(0, 1, ...coordinator.pool.workers.values());
          return ++together >= steps && joined.every(({ health }) => health.acceptedAnswers > 0);
        },
      });
      for (const { name, engine, health } of joined) {
        console.log(`  ${name}: ${engine.backend}, ${health.acceptedAnswers} answers accepted`);
      }
      expect(new Set(joined.map(({ engine }) => engine.backend))).toEqual(
        new Set(['tensorflow', 'wasm', 'webgl']),
      );
      for (const { health } of joined) expect(health.acceptedAnswers).toBeGreaterThan(0);
      expect(coordinator.lines.filter((line) => /differ|banned|not checked|left/.test(line))).toEqual([]);
      await coordinator.close('The run is finished.');
      await browser.close();
      await Promise.all(workers.map(({ ended }) => ended));
    });
  });
});

import { readSamples } from '../../shared/data/dataset.ts';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import { batches, epochOrder } from '../../coordinator/training/sampler.ts';
import type { StoredDataset } from '../../shared/data/dataset.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Score } from '../../shared/model/scoring.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { NO_GPU, openChromium } from '../support/chromium.ts';
import { loadDigits } from '../support/digits.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { testCoordinator, waitForWorkersReady, type TestCoordinator } from '../support/test-coordinator.ts';
import { relativeDifference } from '../support/vectors.ts';
import { spawnWorker, type WorkerProcess } from '../support/worker-process.ts';
import { guidedOptimizer } from '../support/guided-optimizer.ts';

const STEPS = 24;
const BATCH = 128;
const SEED = 1337;

describeInBrowser('a run with a Node worker and a tab that comes and goes', () => {
  let dataset: StoredDataset;
  let order: Uint32Array[];
  let browser: Browser;
  /** Result of each step on a Node worker alone. */
  const reference: { gradient: Float32Array; lossSum: number; metrics: readonly number[] }[] = [];
  /** Score of the test data after all steps on a Node worker alone. */
  let referenceScore: Score;

  const startCoordinator = (): Promise<TestCoordinator> =>
    testCoordinator(dataset, { seed: SEED, batchSize: BATCH, epochs: 1 });

  /**
   * Computes all steps and evaluates. Each step starts from the weights of the reference, as rounding alone would make two
   * runs differ more and more.
   */
  async function trainAlongReference(
    coordinatorOf: (step: number) => Promise<TestCoordinator>,
    duringStep: (step: number) => Promise<void>,
    onStep: (step: number, result: { gradient: Float32Array } & Score) => void,
  ): Promise<Score> {
    let coordinator = await coordinatorOf(0);
    const optimizer = createOptimizer(coordinator.job.optimizer, layoutOf(coordinator.job.layout));
    optimizer.weights.set(coordinator.initialWeights);
    let gradient: Float32Array | null = null;
    const guided = guidedOptimizer(optimizer, () => gradient);
    for (const [step, batch] of order.entries()) {
      coordinator = await coordinatorOf(step);
      gradient = reference[step]?.gradient ?? null;
      const input = { step: step as Step, batch: readSamples(dataset.train, batch), optimizer: guided };
      const next = order[step + 1];
      const result = coordinator.stepRunner.run(
        input,
        next === undefined ? undefined : readSamples(dataset.train, next),
      );
      const [{ gradientSum, lossSum, metrics }] = await Promise.all([result, duringStep(step)]);
      onStep(step, { gradient: gradientSum, lossSum, metrics });
    }
    const { weights } = optimizer;
    return coordinator.stepRunner.evaluate({ step: order.length as Step, weights, split: dataset.test });
  }

  beforeAll(async () => {
    browser = await openChromium(NO_GPU);
    dataset = await loadDigits(STEPS * BATCH);
    order = [...batches(epochOrder(SEED, 1, dataset.train.count), BATCH)];
    const coordinator = await startCoordinator();
    const worker = spawnWorker(coordinator.url);
    await waitForWorkersReady(coordinator, 1);
    referenceScore = await trainAlongReference(
      () => Promise.resolve(coordinator),
      () => Promise.resolve(),
      (_, result) => reference.push({ ...result, gradient: result.gradient.slice() }),
    );
    await coordinator.close('done');
    await worker.ended;
  }, 120_000);
  afterAll(() => browser.close());

  test('counts every sample of every step once, and ends at the same accuracy', async () => {
    const proxy: Proxy = await startProxy();
    const workers: WorkerProcess[] = [];
    let coordinator = await startCoordinator();
    let computed = 0;
    const connectWorker = (): void => {
      proxy.pointTo(coordinator.port);
      coordinator.pool.subscribe({
        answered: (worker, message) => {
          if (message.type === 'gradient' && worker.name !== 'node') computed += message.result?.samples ?? 0;
        },
      });
      workers.push(spawnWorker(coordinator.url, '--name', 'node'));
    };
    connectWorker();
    const address = `http://127.0.0.1:${proxy.port}/`;
    const openTab = async (): Promise<Page> => {
      const page = await browser.newPage();
      await page.goto(address);
      return page;
    };
    let page = await openTab();
    let session = await page.context().newCDPSession(page);
    /** Events by the step during which they happen. */
    const events: Record<number, () => Promise<unknown>> = {
      2: () => page.reload(),
      5: async () => {
        await page.close();
        page = await openTab();
        session = await page.context().newCDPSession(page);
      },
      // Browsers freeze tabs in the background, and a sleep of the machine freezes all.
      8: () => session.send('Page.setWebLifecycleState', { state: 'frozen' }),
      10: () => session.send('Page.setWebLifecycleState', { state: 'active' }),
      12: async () => {
        await page.getByRole('button', { name: 'Pause' }).click();
        await page.locator('#state', { hasText: 'Paused' }).waitFor();
        await page.getByRole('button', { name: 'Continue' }).click();
      },
      15: async () => {
        await page.context().setOffline(true);
        await page.context().setOffline(false);
      },
    };
    /** Steps before which the coordinator is killed and another one started. */
    const restarts = new Set([18]);
    const coordinatorOf = async (step: number): Promise<TestCoordinator> => {
      if (restarts.has(step)) {
        proxy.pointTo(null);
        await coordinator.close('stopped');
        coordinator = await startCoordinator();
        connectWorker();
      }
      await waitForWorkersReady(coordinator, 2);
      return coordinator;
    };
    const result = await trainAlongReference(
      coordinatorOf,
      async (step) => {
        await events[step]?.();
      },
      (step, { gradient, lossSum, metrics }) => {
        const expected = reference[step]!;
        expect(relativeDifference(gradient, expected.gradient), `step ${step}`).toBeLessThan(1e-4);
        expect(Math.abs(lossSum - expected.lossSum) / expected.lossSum).toBeLessThan(1e-4);
        expect(metrics, `step ${step}`).toEqual(expected.metrics);
      },
    );
    expect(computed).toBeGreaterThan(5 * 20);
    expect(result.metrics).toEqual(referenceScore.metrics);
    await page.close();
    await coordinator.close('done');
    for (const worker of workers) worker.kill('SIGTERM');
    await Promise.all(workers.map(({ ended }) => ended));
    proxy.close();
  }, 180_000);
});

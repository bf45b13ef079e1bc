import { afterEach, describe, expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { fusesMultiplyAdd } from '../../shared/kernels/wasm/simd.ts';
import { enableRelaxedSimd } from '../../worker-node/engine/open/open-wasm.ts';
import { openThreadedEngine, type ThreadedEngine } from '../../worker-node/thread/threaded-engine.ts';
import { engineThreadFile } from '../support/fake-thread.ts';
import { smallCnn } from '../support/mixed-run.ts';
import { testCoordinator, waitForWorkersReady, type TestCoordinator } from '../support/test-coordinator.ts';
import { attachWorker, trainToEnd } from '../support/training-run.ts';

enableRelaxedSimd();

const dataset = syntheticDigits({ seed: 1, trainCount: 160, testCount: 40 });
const settings = { epochs: 1, batchSize: 32, topology: smallCnn };

let engines: ThreadedEngine[] = [];
let coordinator: TestCoordinator;
afterEach(async () => {
  await coordinator.close('done');
  await Promise.all(engines.map((each) => each.close()));
  engines = [];
});

/** Opens WebAssembly in a thread, which has kernels of one form. */
async function open(multiplyAdd: boolean): Promise<Engine> {
  process.env.GRADCAST_MULTIPLY_ADD = multiplyAdd ? '1' : '0';
  try {
    const opened = await openThreadedEngine({
      file: engineThreadFile,
      choice: 'wasm',
      note: () => undefined,
    });
    engines.push(opened);
    return opened.engine;
  } finally {
    delete process.env.GRADCAST_MULTIPLY_ADD;
  }
}

// Without fused multiply-add in the CPU both engines compute the same bits.
describe.runIf(fusesMultiplyAdd())('WebAssembly with fused multiply-add and without', () => {
  test('an exact run takes workers of one of the two, and tells the other why', async () => {
    coordinator = await testCoordinator(dataset, { ...settings, microShard: 16 });
    const [plain, fused] = [await open(false), await open(true)];
    expect(plain.info.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(fused.info.version).toBe(`${plain.info.version} with FMA`);
    const ann = attachWorker(coordinator.url, 'ann', plain);
    await waitForWorkersReady(coordinator, 1);
    const bob = attachWorker(coordinator.url, 'bob', fused);
    await waitForWorkersReady(coordinator, 2);
    await trainToEnd(coordinator, dataset);
    expect(await bob.ended).toContain(
      `the others have wasm ${plain.info.version}, not ${fused.info.version}`,
    );
    expect([...coordinator.pool.workers.values()].map(({ name }) => name)).toEqual(['ann']);
    await coordinator.close('done');
    await ann.ended;
  });

  test('a run of both is trained, and each passes the audits of the other', async () => {
    for (const audits of [true, false]) {
      const own = await open(audits);
      const openOwnEngine = () => Promise.resolve({ engine: own, close: () => Promise.resolve() });
      coordinator = await testCoordinator(dataset, { ...settings, audit: 1, openOwnEngine });
      const workers = [
        attachWorker(coordinator.url, 'plain', await open(false)),
        attachWorker(coordinator.url, 'fused', await open(true)),
      ];
      await waitForWorkersReady(coordinator, 2);
      const { history } = await trainToEnd(coordinator, dataset);
      expect(history).toHaveLength(1);
      expect(coordinator.lines.filter((line) => /banned|not checked|left/.test(line))).toEqual([]);
      await coordinator.close('done');
      await Promise.all(workers.map(({ ended }) => ended));
    }
  });
});

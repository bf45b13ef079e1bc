import { expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { BYTE_FAULTS, startFaultyProxy, type FaultyProxy } from '../support/faulty-proxy.ts';
import { describeNative } from '../support/native.ts';
import { soakSize } from '../support/soak-size.ts';
import { testCoordinator, waitForWorkersReady } from '../support/test-coordinator.ts';
import { withoutTimings, trainToEnd, type RunResult } from '../support/training-run.ts';
import { spawnWorker, type WorkerProcess } from '../support/worker-process.ts';

const STEPS = 60;
const BATCH = 32;
const WORKERS = 3;
const seeds = soakSize('SEEDS', 1, 3);
const engines = (process.env.ENGINES ?? 'wasm,native').split(',');
const dataset = syntheticDigits({ seed: 1, trainCount: STEPS * BATCH - 5, testCount: 100 });
const settings = { batchSize: BATCH, microShard: 8 };

/**
 * Trains on real processes, each behind a proxy of its own, with a fault at every step. Without a seed, trains on one worker
 * without faults.
 */
async function run(engine: string, seed: number | null): Promise<RunResult & { faults: object }> {
  const coordinator = await testCoordinator(dataset, settings);
  const random = randomStream(seed ?? 0, Purpose.syntheticDigits);
  const faults: Record<string, number> = {};
  const slots: { proxy: FaultyProxy; worker: WorkerProcess }[] = [];
  let isOver = false;
  const spawn = (proxy: FaultyProxy, name: string): WorkerProcess =>
    spawnWorker(`ws://127.0.0.1:${proxy.port}`, '--name', name, '--engine', engine, '--threads', '1');
  const occupy = (slot: number, proxy: FaultyProxy): void => {
    const worker = spawn(proxy, `w${slot}`);
    slots[slot] = { proxy, worker };
    void worker.ended.then(() => {
      if (!isOver) occupy(slot, proxy);
    });
  };
  for (let slot = 0; slot < (seed === null ? 1 : WORKERS); slot++) {
    occupy(slot, await startFaultyProxy(coordinator.port, random));
  }
  await waitForWorkersReady(coordinator, slots.length);
  const injectFault = (): void => {
    const fault = ['kill', 'freeze', ...BYTE_FAULTS][random.below(BYTE_FAULTS.length + 2)] ?? 'kill';
    faults[fault] = (faults[fault] ?? 0) + 1;
    const { proxy, worker } = slots[random.below(slots.length)]!;
    if (fault === 'kill') worker.kill('SIGKILL');
    else if (fault === 'freeze') {
      worker.kill('SIGSTOP');
      setTimeout(() => worker.kill('SIGCONT'), 50 + random.below(500));
    } else proxy.inject(fault as (typeof BYTE_FAULTS)[number]);
  };
  try {
    const beforeStep = (): void => {
      if (seed !== null) setTimeout(injectFault, random.below(60));
    };
    return { ...(await trainToEnd(coordinator, dataset, { beforeStep })), faults };
  } finally {
    isOver = true;
    await coordinator.close('done');
    for (const { proxy, worker } of slots) {
      worker.kill('SIGKILL');
      proxy.close();
    }
    await Promise.all(slots.map(({ worker }) => worker.ended));
  }
}

async function sameBits(engine: string): Promise<void> {
  const expected = await run(engine, null);
  for (let seed = 1; seed <= seeds; seed++) {
    const startedMs = performance.now();
    const { weights, history, samples, faults } = await run(engine, seed);
    expect(samples).toEqual(expected.samples);
    expect(history.map(withoutTimings)).toEqual(expected.history.map(withoutTimings));
    expect(Buffer.from(weights.buffer).equals(Buffer.from(expected.weights.buffer))).toBe(true);
    const took = ((performance.now() - startedMs) / 1000).toFixed(1);
    console.log(
      `${engine}, seed ${seed}: ${STEPS} steps in ${took} s, the same bits; ${JSON.stringify(faults)}`,
    );
  }
}

test.each(engines.filter((engine) => engine !== 'native'))(
  'real workers on %s give the same bits with a fault at every step',
  sameBits,
);
if (engines.includes('native')) {
  describeNative(() => {
    test('real workers on native give the same bits with a fault at every step', () => sameBits('native'));
  });
}

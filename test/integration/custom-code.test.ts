import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadModel, modelCheckpoint, train, type Task } from '../../coordinator/index.ts';
import type { JobSettings } from '../../coordinator/model/model.ts';
import { CloseCode } from '../../shared/protocol/close-codes.ts';
import { encodeFrame } from '../../shared/protocol/frame.ts';
import { LOAD_LIMIT_MS, withinLimit } from '../../shared/worker/custom-code-access.ts';
import { openThreadedEngine } from '../../worker-node/thread/threaded-engine.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import {
  bundleOf,
  exampleBundle,
  exampleFile,
  exampleJob,
  exampleTopology,
  threeInputs,
} from '../support/custom-code.ts';
import { engineThreadFile } from '../support/fake-thread.ts';
import { manualClock } from '../support/manual-clock.ts';
import { attachRelay } from '../support/relay.ts';
import { testCoordinator, waitForWorkersReady, type TestCoordinator } from '../support/test-coordinator.ts';
import { attachWorker, trainToEnd } from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const custom = await exampleBundle();
const { hash } = custom.code;

const start = (
  settings: Partial<JobSettings> & Parameters<typeof testCoordinator>[1] = {},
): Promise<TestCoordinator> =>
  testCoordinator(threeInputs, {
    topology: exampleTopology,
    custom,
    loss: 'asymmetricError',
    metrics: ['withinHalf', 'mae'],
    optimizer: { name: 'adam' },
    batchSize: 24,
    epochs: 2,
    ...settings,
  });

/** Trains on workers that trust the code. */
async function run(workers: number, settings: Parameters<typeof start>[0] = {}) {
  const coordinator = await start(settings);
  const engine = await wasmEngine();
  const attached = Array.from({ length: workers }, (_, i) =>
    attachWorker(coordinator.url, `w${i}`, engine, connectWebSocket, undefined, undefined, [hash]),
  );
  await waitForWorkersReady(coordinator, workers);
  const { weights, history } = await trainToEnd(coordinator, threeInputs);
  await coordinator.close('done');
  await Promise.all(attached.map(({ ended }) => ended));
  return { weights, history, lines: coordinator.lines };
}

describe('a run with custom code', () => {
  it('learns, and has the same bits with one and three workers if it is exact', async () => {
    const one = await run(1, { microShard: 4 });
    const three = await run(3, { microShard: 4 });
    expect(three.weights).toEqual(one.weights);
    expect(three.history.map(({ loss }) => loss)).toEqual(one.history.map(({ loss }) => loss));
    expect(one.history[1]!.val_loss).toBeLessThan(one.history[0]!.val_loss);
  });

  it('has the same bits through a relay whose person trusts the code, and no relay without trust', async () => {
    const one = await run(1, { microShard: 4 });
    const coordinator = await start({ microShard: 4 });
    const without = await attachRelay(coordinator.url, 'without');
    expect(await without.ended).toMatch(/which this relay does not run unasked/);
    const relay = await attachRelay(coordinator.url, 'relay', { trust: [hash] });
    const engine = await wasmEngine();
    const attach = (trusts: readonly string[]) =>
      attachWorker(relay.url, 'w', engine, connectWebSocket, undefined, undefined, trusts);
    const workers = [attach([hash]), attach([hash])];
    await waitForWorkersReady(coordinator, 1);
    expect(await attach([]).ended).toMatch(/which this worker does not run unasked/);
    const { weights } = await trainToEnd(coordinator, threeInputs);
    expect(weights).toEqual(one.weights);
    await coordinator.close('done');
    await Promise.all([relay, ...workers].map(({ ended }) => ended));
  });

  it('has its answers recomputed by the coordinator with the same code', async () => {
    let opened = 0;
    const openOwnEngine = async () => {
      opened++;
      return { engine: await wasmEngine(), close: () => Promise.resolve() };
    };
    const { history, lines } = await run(2, { audit: 1, openOwnEngine });
    expect(opened).toBeGreaterThan(0);
    expect(history).toHaveLength(2);
    expect(lines.filter((line) => line.startsWith('!'))).toEqual([]);
  });

  it('sends the code to workers alone that trust it', async () => {
    const coordinator = await start();
    const sizes = await Promise.all(
      [[], [hash], ['f'.repeat(64)]].map((trusts) => bytesOfWelcome(coordinator.url, { trusts })),
    );
    expect(sizes[1]! - sizes[0]!).toBeGreaterThanOrEqual(custom.bytes.length);
    expect(sizes[2]).toBe(sizes[0]);
    await coordinator.close('done');
  });

  it.each([
    // Larger than any frame of so small a model: WebSocket's own code.
    ['10,000 hashes', Array.from({ length: 10_000 }, () => hash), 1009],
    ['33 hashes', Array.from({ length: 33 }, () => hash), CloseCode.malformed],
    ['no hashes', [{ toString: hash }], CloseCode.malformed],
    ['odd hashes', ['../../etc/passwd'], CloseCode.malformed],
  ])('refuses a hello that trusts %s', async (_, trusts, code) => {
    const coordinator = await start();
    await expect(bytesOfWelcome(coordinator.url, { trusts })).rejects.toBe(code);
    await coordinator.close('done');
  });
});

/** Says hello. @returns bytes of the answer; rejects with the close code */
function bytesOfWelcome(url: string, fields: object): Promise<number> {
  const hello = {
    ...{ type: 'hello', protocol: 2, name: 'ann', codecs: ['float32'] },
    engine: { backend: 'made', version: '1', device: 'CPU', threads: 1 },
    ...fields,
  };
  return new Promise((resolve, reject) => {
    const connection = connectWebSocket(url, {
      onOpen: () => connection.send(encodeFrame(hello)),
      onFrame(frame) {
        resolve(frame.length);
        connection.close(CloseCode.normal, 'done');
      },
      // eslint-disable-next-line typescript/prefer-promise-reject-errors
      onClose: (code) => reject(code),
    });
  });
}

describe('code in the thread of an engine', () => {
  const options = {
    file: engineThreadFile,
    choice: 'cpu',
    note: () => undefined,
  } as const;

  it.each([
    ['that throws', 'throw new Error("not here");', 'Custom code cannot be loaded: not here'],
    ['without a function', 'export default 3;', 'no default export that is a function'],
    ['that lacks what it names', 'export default () => ({});', 'The custom code lacks ScaledResidualDense'],
  ])('%s is an error of the job', async (_, text, sentence) => {
    const { job } = await exampleJob();
    const threaded = await openThreadedEngine(options);
    const module = `data:text/javascript,${encodeURIComponent(text)}`;
    await expect(threaded.engine.load(job, module)).rejects.toThrow(sentence);
    await expect(threaded.engine.load(job)).rejects.toThrow('The custom code of this job (layer Scaled');
    // The thread goes on.
    const good = await threaded.engine.load(job, custom.module);
    good.dispose();
    await threaded.close();
  });

  it('that never ends is given up, and the thread is ended with it', async () => {
    const { job } = await exampleJob();
    const threaded = await openThreadedEngine(options);
    const clock = manualClock();
    const loading = threaded.engine.load(job, 'data:text/javascript,for (;;);');
    loading.catch(() => undefined);
    const limited = withinLimit(clock, loading, LOAD_LIMIT_MS, 'was not loaded');
    const failed = expect(limited).rejects.toThrow('was not loaded within 30 s');
    await clock.advance(LOAD_LIMIT_MS);
    await failed;
    await threaded.close();
    await expect(loading).rejects.toThrow('The engine is closed.');
  });
});

it('a bundle is made of text of any characters', async () => {
  const { bytes, module } = await bundleOf('// Größe 😀\nexport default () => ({});');
  expect(Buffer.from(module.split(',')[1]!, 'base64')).toEqual(Buffer.from(bytes));
});

it('the library trains with custom code, and computes with a saved model only if its hash is trusted', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gradcast-custom-library-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const x = Array.from({ length: 40 }, (_, i) => [i / 40, (i % 5) / 5, (i % 3) / 3]);
  const y = x.map(([a = 0, b = 0]) => [a - b]);
  const task: Task = {
    model: exampleTopology,
    data: { x, y },
    customObjects: exampleFile,
    loss: { name: 'asymmetricError' },
    metrics: ['withinHalf'],
    optimizer: 'adam',
    epochs: 2,
    callbacks: [modelCheckpoint({ path: join(folder, 'last') })],
  };
  const model = await train(task, { engine: await wasmEngine() });
  expect(model.history.map(({ withinHalf }) => typeof withinHalf)).toEqual(['number', 'number']);
  const predicted = await model.predict(x);
  const { loss } = await model.evaluate({ x, y });
  await model.save(folder);
  for (const saved of [folder, join(folder, 'last')]) {
    const trusted = await loadModel(saved, { trust: [hash] });
    expect(await trusted.predict(x)).toEqual(predicted);
    expect((await trusted.evaluate({ x, y })).loss).toBeCloseTo(loss, 5);
  }
  const distrusted = await loadModel(folder);
  await expect(distrusted.predict(x)).rejects.toThrow(`use --trust ${hash}`);
  // A model from a stranger can be looked at, and its weights taken.
  await distrusted.export(join(folder, 'model.safetensors'));
  await expect(distrusted.export(join(folder, 'model.keras'))).rejects.toThrow(
    'Layer residual (ScaledResidualDense) is custom code, which a .keras file cannot express.',
  );
});

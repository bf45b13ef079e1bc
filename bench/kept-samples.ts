// Bytes of all messages with samples in each of two epochs, with workers that keep samples and with workers that do not, and
// the time that they take on a link. A stub engine computes, since only bytes are counted; MNIST comes from MNIST_DIR.
// Arguments: [megabits a second = 20]
import { prepareJob } from '../coordinator/model/model.ts';
import { openDataset } from '../coordinator/data/load-dataset.ts';
import { plainReporter } from '../coordinator/report/plain.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import { sampleBytes } from '../shared/model/tensors.ts';
import { parseFromCoordinator } from '../shared/protocol/frame.ts';
import type { Connect } from '../shared/protocol/transport.ts';
import { systemClock } from '../shared/util/clock.ts';
import { connectWebSocket } from '../worker-node/connect-websocket.ts';
import { stubEngine } from '../test/support/stub-engine.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../test/support/test-coordinator.ts';
import { attachWorker, trainToEnd } from '../test/support/training-run.ts';

const megabits = Number(process.argv[2] ?? 20);
const data = process.env.MNIST_DIR;
const dataset =
  data === undefined
    ? syntheticDigits({ seed: 1 })
    : await openDataset(
        { data, seed: 1 },
        plainReporter(() => undefined, systemClock(globalThis)),
      );
const topology = tinyTopology([28, 28, 1], 10);
const { job } = await prepareJob(dataset, { batchSize: 128, epochs: 1, seed: 1, topology });
const all = (dataset.train.count + dataset.test.count) * sampleBytes(job);

/** @returns bytes of the messages with samples in each epoch */
async function run(workers: number, keeps: boolean): Promise<number[]> {
  const coordinator = await testCoordinator(dataset, { topology, batchSize: 128, epochs: 2 });
  let bytes = 0;
  const connect: Connect = (url, events) =>
    connectWebSocket(url, {
      ...events,
      onFrame(frame) {
        const { type } = parseFromCoordinator(frame).message;
        if (type === 'shard' || type === 'prefetch') bytes += frame.length;
        events.onFrame(frame);
      },
    });
  const attached = Array.from({ length: workers }, (_, i) =>
    attachWorker(
      coordinator.url,
      `worker-${i}`,
      stubEngine({ perSampleMs: 0.2, tamper: (value) => value }),
      connect,
      undefined,
      keeps ? { maxBytes: 2 ** 29 } : undefined,
    ),
  );
  await waitForWorkersReady(coordinator, workers);
  const epochs: number[] = [];
  await trainToEnd(coordinator, dataset, {
    onEpoch: () => {
      epochs.push(bytes);
      bytes = 0;
    },
  });
  await coordinator.close('done');
  await Promise.all(attached.map(({ ended }) => ended));
  return epochs;
}

console.log(
  `${dataset.name}: ${dataset.train.count} and ${dataset.test.count} samples of ${sampleBytes(job)} bytes, ${(all / 1e6).toFixed(1)} MB`,
);
console.log(
  '| workers | samples | epoch 1, MB | epoch 2, MB | of the samples | seconds at the link, 1 and 2 |',
);
console.log('| ---: | --- | ---: | ---: | ---: | ---: |');
for (const workers of [1, 2, 4]) {
  for (const keeps of [false, true]) {
    const [first = 0, second = 0] = await run(workers, keeps);
    const seconds = [first, second].map((bytes) => ((bytes * 8) / megabits / 1e6).toFixed(1)).join(' / ');
    console.log(
      `| ${workers} | ${keeps ? 'kept' : 'sent each time'} | ${(first / 1e6).toFixed(2)} | ${(second / 1e6).toFixed(2)} | ${((100 * second) / all).toFixed(2)}% | ${seconds} |`,
    );
  }
}
process.exit(0);

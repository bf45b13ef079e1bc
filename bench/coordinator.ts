// Measures the CPU time of the coordinator per worker and step, without the optimizer, against a bare ws server that moves and
// adds the same bytes. Also measures Adadelta. Arguments: [steps = 150]
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { prepareJob } from '../coordinator/model/model.ts';
import { createOptimizer } from '../coordinator/optimizer/optimizer.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import { shardBytes } from '../shared/data/shard.ts';
import { layoutOf } from '../shared/model/layout.ts';
import { forkEntry } from './support/children.ts';
import { startInProcessCoordinator } from './support/in-process-coordinator.ts';
import { median, spread } from './support/statistics.ts';
import { imageTensors } from '../shared/model/tensors.ts';

const BATCH = 128;
const BLOCK = 10;
const steps = Number(process.argv[2] ?? 150);
const dataset = syntheticDigits({ seed: 1, trainCount: BATCH, testCount: 10 });
const { job, initialWeights: weights } = await prepareJob(dataset, { batchSize: BATCH, epochs: 1, seed: 1 });
const layout = layoutOf(job.layout);

interface Side {
  readonly step: () => Promise<void>;
  readonly close: () => Promise<void>;
}

async function coordinatorSide(workers: number): Promise<Side> {
  const here = await startInProcessCoordinator({ workers, batch: BATCH });
  const children = Array.from({ length: workers }, () => forkEntry('null-worker', [here.url]));
  await here.allWorkersReady();
  return {
    step: here.gradient,
    close: async () => {
      await here.coordinator.close('done');
      for (const child of children) child.kill();
    },
  };
}

async function bareSide(workers: number): Promise<Side> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const bytes = layout.length * 4;
  const all = new Promise<void>((resolve) => {
    server.on('connection', () => {
      if (server.clients.size === workers) resolve();
    });
  });
  const children = Array.from({ length: workers }, () =>
    forkEntry('bare-echo', [`ws://127.0.0.1:${port}`, String(bytes)]),
  );
  await all;
  const sum = new Float32Array(layout.length);
  const frame = Buffer.from(weights.buffer);
  const shard = Buffer.alloc(shardBytes(BATCH / workers, imageTensors([28, 28, 1], 10)));
  let answered: () => void = () => undefined;
  let missing = 0;
  for (const client of server.clients) {
    client.on('message', (data: Buffer) => {
      const gradient = new Float32Array(data.buffer, data.byteOffset, layout.length);
      for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + gradient[i]!;
      if (--missing === 0) answered();
    });
  }
  return {
    step: () =>
      new Promise((resolve) => {
        missing = workers;
        answered = resolve;
        for (const client of server.clients) {
          client.send(frame);
          client.send(shard);
        }
      }),
    close: async () => {
      for (const client of server.clients) client.close();
      await new Promise((resolve) => server.close(resolve));
      for (const child of children) child.kill();
    },
  };
}

/** CPU time of this process for a block of steps, in milliseconds per worker and step. */
async function cpuMs(side: Side, workers: number): Promise<number> {
  const before = process.cpuUsage();
  for (let i = 0; i < BLOCK; i++) await side.step();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / BLOCK / workers;
}

for (const workers of [1, 2, 4, 8]) {
  const gradcast = await coordinatorSide(workers);
  const bare = await bareSide(workers);
  const times = { gradcast: [] as number[], bare: [] as number[] };
  for (let done = -2 * BLOCK; done < steps; done += BLOCK) {
    const gradcastMs = await cpuMs(gradcast, workers);
    const bareMs = await cpuMs(bare, workers);
    if (done < 0) continue;
    times.gradcast.push(gradcastMs);
    times.bare.push(bareMs);
  }
  await gradcast.close();
  await bare.close();
  const ratio = median(times.gradcast.map((value, i) => value / times.bare[i]!));
  console.log(
    `${workers} worker(s): ratio ${ratio.toFixed(2)}, coordinator ${spread(times.gradcast)} ms, ` +
      `bare ws server ${spread(times.bare)} ms of CPU per worker and step`,
  );
}

const optimizer = createOptimizer(job.optimizer, layout);
const gradient = Float32Array.from({ length: layout.length }, (_, i) => Math.sin(i) * 1e-2);
const adadelta: number[] = [];
for (let i = 0; i < 120; i++) {
  optimizer.gradientSum.set(gradient);
  const startedMs = performance.now();
  optimizer.apply({ step: i, samples: BATCH });
  if (i >= 20) adadelta.push(performance.now() - startedMs);
}
console.log(`Adadelta over ${layout.length} values: ${spread(adadelta)} ms`);

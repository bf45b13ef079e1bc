import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ShardSender } from '../../../coordinator/training/shard-sender.ts';
import { WeightsPublisher } from '../../../coordinator/weights/publisher.ts';
import { imageSplit, readSamples } from '../../../shared/data/dataset.ts';
import { shardBytes, writeShard } from '../../../shared/data/shard.ts';
import { sampleBytes } from '../../../shared/model/tensors.ts';
import { TASKS } from '../../../shared/protocol/messages.ts';
import { SampleStores } from '../../../shared/worker/sample-store.ts';
import { testPool, type Client } from '../../coordinator/pool/pool-harness.ts';
import { checkProperty } from '../../support/property.ts';
import { exampleJob, shardId, step } from '../protocol/examples.ts';

const counts = { train: 20, evaluate: 10 };
const job = {
  ...exampleJob,
  data: { name: 'made', trainSamples: counts.train, testSamples: counts.evaluate, digest: 'a'.repeat(64) },
};
const splits = {
  train: imageSplit({
    images: Uint8Array.from({ length: 2 * counts.train }, (_, i) => i),
    labels: Uint8Array.from({ length: counts.train }, (_, i) => i % 2),
    count: counts.train,
  }),
  evaluate: imageSplit({
    images: Uint8Array.from({ length: 2 * counts.evaluate }, (_, i) => 100 + i),
    labels: Uint8Array.from({ length: counts.evaluate }, (_, i) => (i + 1) % 2),
    count: counts.evaluate,
  }),
};

/** A shard that the worker is sent; on a new connection if it has lost the one before, with or without a last message. */
const event = fc.record({
  task: fc.constantFrom(...TASKS),
  numbers: fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 9 }),
  connection: fc.constantFrom('same', 'same', 'same', 'new', 'lost'),
});

test('a worker puts together every shard that a coordinator sends without the samples that it keeps', async () => {
  let sentWithout = 0;
  await checkProperty(
    fc.asyncProperty(fc.array(event, { maxLength: 20 }), fc.nat(25), async (events, room) => {
      const { pool, connect } = testPool({ job });
      const publisher = new WeightsPublisher(pool, 6, [0]);
      publisher.beginStep(step(1), { committedWeights: new Float32Array(6) });
      const sender = new ShardSender({ pool, publisher, format: job, kernel: null });
      const stores = new SampleStores({ maxBytes: room * sampleBytes(job) });
      const join = async (): Promise<Client> => {
        const client = connect();
        await client.hello({ name: 'ann', instance: 'the same process', prefetch: false });
        const store = await stores.open(job);
        if (store === null) await client.say({ type: 'ready' });
        else await client.say({ type: 'ready', keeps: store.room }, store.bitmaps);
        return client;
      };
      let client = await join();
      for (const [id, { task, numbers, connection }] of events.entries()) {
        if (connection === 'new') client = await join();
        const batch = readSamples(splits[task], Uint32Array.from(numbers));
        const [worker] = pool.workers.values();
        sender.send(worker!, task, { step: step(1), batch, isJobData: true }, {
          id: shardId(id),
          worker: worker!.id,
          from: 0,
          to: numbers.length,
          assignedAtMs: 0,
          stragglerAtMs: Infinity,
          isDuplicate: false,
        }); // prettier-ignore
        // The connection is lost before the shard arrives.
        if (connection === 'lost') {
          client = await join();
          continue;
        }
        await client.say({ type: 'pong', id: 0 });
        const { message, payload } = client.received.at(-1)!;
        if (message.type !== 'shard') throw new Error(`A ${message.type} came in place of the shard.`);
        const store = await stores.open(job);
        store?.add(task, { message, payload });
        const whole = new Uint8Array(shardBytes(numbers.length, job));
        writeShard(whole, batch, job);
        expect(store === null ? payload : store.assemble(task, { message, payload })).toEqual(whole);
        if ((message.kept?.length ?? 0) > 0) sentWithout++;
        expect(worker!.keptSamples?.bitmaps).toEqual(store?.bitmaps);
      }
    }),
    { seed: 41 },
  );
  expect(sentWithout).toBeGreaterThan(100);
});

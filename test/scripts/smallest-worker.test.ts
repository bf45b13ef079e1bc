import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { decodeFrame, encodeFrame } from '../../shared/protocol/frame.ts';

interface SmallestWorker {
  sayHello(token?: string): void;
  receive(frame: Uint8Array): void;
  readonly isFinished: boolean;
}

const root = new URL('../../', import.meta.url);
const { SmallestWorker } = (await import(new URL('docs/examples/smallest-worker.js', root).href)) as {
  SmallestWorker: new (send: (frame: Uint8Array) => void) => SmallestWorker;
};
const protocol = readFileSync(new URL('PROTOCOL.md', root), 'utf8');
const welcome = JSON.parse(/```json\n([^]*?)```/.exec(protocol)?.[1] ?? '{}') as object;

function start() {
  const sent: { header: unknown; payload: Uint8Array }[] = [];
  const worker = new SmallestWorker((frame) => sent.push(decodeFrame(frame)));
  const receive = (header: object, payload?: Uint8Array) => worker.receive(encodeFrame(header, payload));
  const answers = () => sent.splice(0);
  return { worker, receive, answers };
}

const bytesOf = (values: Float32Array | Uint32Array) => new Uint8Array(values.buffer);
const weights = Float32Array.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0, 0.5);
const samples = Uint8Array.of(
  ...bytesOf(Uint32Array.of(5, 8)),
  ...[255, 51, 102, 0, 0, 204, 153, 255],
  ...[0, 1, 0, 0],
);
const shard = { type: 'shard', task: 'train', step: 3, shard: 9, samples: 2 };

test('the smallest worker says hello and is ready', () => {
  const { worker, receive, answers } = start();
  worker.sayHello('s3cret');
  expect(answers()[0]?.header).toMatchObject({
    type: 'hello',
    protocol: 2,
    codecs: ['float32'],
    token: 's3cret',
  });
  receive(welcome);
  receive({ type: 'ping', id: 7 });
  expect(answers().map(({ header }) => header)).toEqual([{ type: 'ready' }, { type: 'pong', id: 7 }]);
  receive({ type: 'finished', reason: 'done' });
  expect(worker.isFinished).toBe(true);
});

test('it computes the gradient and the evaluation of the test vectors, with weights in buckets', () => {
  const { receive, answers } = start();
  receive(welcome);
  receive(shard, samples);
  receive({ type: 'weights', step: 3, offset: 8 }, bytesOf(weights.slice(8)));
  answers();
  receive({ type: 'weights', step: 3, offset: 0 }, bytesOf(weights.slice(0, 8)));
  receive({ ...shard, task: 'evaluate', shard: 10 }, samples);
  const [gradient, evaluation] = answers();
  expect(gradient?.header).toMatchObject({ type: 'gradient', step: 3, shard: 9, offset: 0 });
  expect(gradient?.header).toMatchObject({
    result: { samples: 2, lossSum: expect.closeTo(1.537824, 5) as number, metrics: [1] },
  });
  const expected = [
    -1.388473, 1.388473, 0.1980484, -0.1980484, -0.5553891, 0.5553891, 0.5946787, -0.5946787, -0.396897,
    0.396897,
  ];
  const values = new Float32Array(gradient?.payload.slice().buffer ?? new ArrayBuffer(0));
  expect([...values]).toEqual(expected.map((value) => expect.closeTo(value, 5) as number));
  expect(evaluation?.header).toMatchObject({
    type: 'evaluation',
    shard: 10,
    result: { lossSum: expect.closeTo(1.466727, 5) as number },
  });
});

test('it drops shards of earlier steps and waits for the weights of later ones', () => {
  const { receive, answers } = start();
  receive(welcome);
  receive({ ...shard, step: 2 }, samples);
  receive({ type: 'weights', step: 3, offset: 0 }, bytesOf(weights));
  receive({ ...shard, step: 4, shard: 11 }, samples);
  expect(answers()).toHaveLength(1);
  receive({ type: 'weights', step: 4, offset: 0 }, bytesOf(weights));
  expect(answers().map(({ header }) => header)).toMatchObject([{ type: 'gradient', shard: 11 }]);
});

test('it refuses a model that it does not know', () => {
  const { receive } = start();
  const topology = { config: { layers: [{ class_name: 'Conv2D', config: {} }] } };
  const job = { topology, layout: [], inputs: [], targets: [], outputs: [{ loss: {}, metrics: [] }] };
  expect(() => receive({ ...welcome, job })).toThrow('Flatten');
});

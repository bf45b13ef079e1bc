import type {
  EpochRecord,
  FromCoordinator,
  FromWorker,
  Hello,
  ShardId,
  Step,
  Welcome,
} from '../../../shared/protocol/messages.ts';
import type { Job } from '../../../shared/model/job.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';
import { classOutput } from '../../../shared/model/stored-job.ts';

/** A job of six parameters, the last two of them statistics. */
export const exampleJob: Job = {
  topology: {
    class_name: 'Sequential',
    config: { name: 'tiny', layers: [{ class_name: 'Dense', config: { name: 'd', activation: 'softmax' } }] },
  },
  layout: [
    { shape: [2, 2], trainable: true },
    { shape: [2], trainable: false },
  ],
  optimizer: { name: 'adadelta', learningRate: 1, rho: 0.95, epsilon: 1e-8 },
  batchSize: 4,
  epochs: 1,
  seed: 1337,
  ...imageTensors([2, 1, 1], 2),
  outputs: [classOutput('d', 2)],
  data: { name: 'made', trainSamples: 8, testSamples: 4 },
};

export const exampleHello: Hello = {
  type: 'hello',
  protocol: 2,
  name: 'ann',
  token: 'secret',
  engine: { backend: 'wasm', version: '4.22.0', device: '2 cores', threads: 1 },
  codecs: ['float32'],
  prefetch: true,
};

export const exampleWelcome: Welcome = {
  type: 'welcome',
  protocol: 2,
  workerId: 'w1',
  codec: 'float32',
  heartbeatMs: 5000,
  maxFrameBytes: 1 << 20,
  bucketOffsets: [0],
  job: exampleJob,
};

export const step = (value: number): Step => value as Step;
export const shardId = (value: number): ShardId => value as ShardId;

const shard = { step: step(3), shard: shardId(17) };
const result = { samples: 32, lossSum: 1.5, metrics: [30], computeMs: 12.25 };

/** Examples of all messages that workers and observers send. */
export const fromWorkerExamples: readonly FromWorker[] = [
  exampleHello,
  { ...exampleHello, standby: true, instance: 'k3v9qd', switchCodecs: true, machine: 'lab' },
  { type: 'watch', protocol: 2, token: 'secret' },
  { type: 'snapshot' },
  { type: 'inspect' },
  { type: 'ready' },
  { type: 'ready', fingerprint: '0123456789abcdef' },
  { type: 'gradient', ...shard, offset: 4 },
  { type: 'gradient', ...shard, offset: 4, encoding: 'int8' },
  { type: 'gradient', ...shard, offset: 0, result },
  { type: 'gradient', ...shard, offset: 0, encoding: 'int8', result },
  { type: 'evaluation', ...shard, result },
  { type: 'failed', step: step(3), shard: shardId(17), reason: 'out of memory' },
  { type: 'leaving', reason: 'lid closed' },
  { type: 'pong', id: 5 },
];

const exampleCurvePoint = { step: 2, steps: 2, loss: 0.5, metrics: { accuracy: 0.75 } };
export const exampleEpoch: EpochRecord = {
  epoch: 1,
  loss: 0.5,
  accuracy: 0.75,
  val_loss: 0.25,
  val_accuracy: 0.875,
  seconds: 1.5,
  samples_per_second: 99.5,
  workers: 2,
  data: 'made',
};

/** Examples of all messages that a coordinator sends. */
export const fromCoordinatorExamples: readonly FromCoordinator[] = [
  exampleWelcome,
  { ...exampleWelcome, codec: 'int4', updateCodec: 'int8' },
  { ...exampleWelcome, bucketOffsets: [0, 4, 5] },
  { type: 'weights', step: step(3), offset: 4 },
  { type: 'weights', step: step(3), offset: 0 },
  { type: 'update', step: step(3), offset: 0 },
  { type: 'update', step: step(3), offset: 4 },
  { type: 'update', step: step(3), offset: 0, encoding: 'int8' },
  { type: 'prefetch', step: step(4), samples: 32 },
  { type: 'shard', task: 'train', step: step(3), shard: shardId(17), samples: 32 },
  { type: 'shard', task: 'train', step: step(3), shard: shardId(17), samples: 32, encoding: 'int8' },
  { type: 'rejected', step: step(3), shard: shardId(17), code: 4421, reason: 'not finite' },
  { type: 'standby', standby: true, reason: 'A step takes 30 ms without it.' },
  { type: 'ping', id: 5 },
  { type: 'finished', reason: 'done' },
  { type: 'run', protocol: 2, job: exampleJob, steps: 2, curve: [exampleCurvePoint], epochs: [exampleEpoch] },
  {
    type: 'progress',
    epoch: 1,
    step: 2,
    loss: 0.5,
    metrics: { accuracy: 0.75 },
    samplesPerSecond: 100.5,
    etaSeconds: 1.5,
    curve: [exampleCurvePoint],
    workers: [
      {
        id: 'w1',
        name: 'ann',
        machine: 'lab',
        backend: 'wasm',
        device: 'CPU',
        share: 0.5,
        samples: 64,
        samplesPerSecond: 99.5,
        computeMs: 12.5,
        turnaroundMs: 13.5,
        rttMs: 1.5,
        bytesUp: 100,
        bytesDown: 200,
        standby: false,
        codecs: 'int4/int8',
      },
    ],
    slowest: { id: 'w1', cause: 'compute' },
    timeline: {
      step: 2,
      durationMs: 14.5,
      shards: [{ id: 'w1', samples: 32, startMs: 0.5, computeMs: 12.5, receiveMs: 0.5, endMs: 13.5 }],
      omitted: 1,
    },
    advice: 'A step takes 30 ms.',
  },
  { type: 'epoch', record: exampleEpoch },
  { type: 'details', samples: 2, weightNames: ['dense/kernel'], classNames: ['cat'] },
];

import { afterAll, afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { StepRunner } from '../../coordinator/training/step.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { CloseCode } from '../../shared/protocol/close-codes.ts';
import {
  PROTOCOL_VERSION,
  type FromWorker,
  type GradientMessage,
  type Hello,
  type ShardId,
  type ShardMessage,
  type ShardResult,
  type Step,
} from '../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator } from '../../shared/protocol/frame.ts';
import { waitForWorkerReady } from '../support/test-coordinator.ts';
import { attackedRun } from '../support/attacked-run.ts';
import { standardMode } from '../../coordinator/modes/standard-mode.ts';

const { coordinator, input, expectStepCompletes, close } = await attackedRun('secret');
afterEach(expectStepCompletes);
afterAll(close);
/** Number of values of a gradient. */
const { length } = coordinator.initialWeights;
let clients = 0;

const hello: Hello = {
  type: 'hello',
  protocol: PROTOCOL_VERSION,
  name: 'client',
  token: 'secret',
  engine: { backend: 'none', version: '1', device: 'test', threads: 1 },
  codecs: ['float32'],
};

/** A client that sends exactly what the test tells it to. */
class TestClient {
  readonly #socket = new WebSocket(coordinator.url);
  readonly #messages: ReturnType<typeof parseFromCoordinator>[] = [];
  #onMessage: (() => void) | null = null;
  readonly closed = new Promise<{ code: number; reason: string }>((resolve) => {
    this.#socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });

  constructor() {
    this.#socket.on('message', (data: Buffer) => {
      this.#messages.push(parseFromCoordinator(data));
      this.#onMessage?.();
    });
  }

  opened(): Promise<void> {
    return new Promise((resolve) => this.#socket.once('open', () => resolve()));
  }

  send(message: FromWorker, payload?: Uint8Array): void {
    this.#socket.send(frameFromWorker(message, payload));
  }

  sendRaw(data: Uint8Array | string): void {
    this.#socket.send(data);
  }

  /** Waits for the next message of a type. */
  async next<Type extends string>(type: Type) {
    for (;;) {
      const at = this.#messages.findIndex(({ message }) => message.type === type);
      const [found] = at < 0 ? [] : this.#messages.splice(at, 1);
      if (found !== undefined) return found.message as Extract<typeof found.message, { type: Type }>;
      await new Promise<void>((resolve) => (this.#onMessage = resolve));
    }
  }
}

async function openClient(): Promise<TestClient> {
  const client = new TestClient();
  await client.opened();
  return client;
}

/** Opens a client that has joined and was assigned a shard of a running round. */
async function withShard() {
  const client = await openClient();
  const name = `client ${++clients}`;
  client.send({ ...hello, name });
  await client.next('welcome');
  client.send({ type: 'ready' });
  await waitForWorkerReady(coordinator, name);
  // A runner that has measured no throughput assigns shards to all workers. An older one would give a new worker only
  // speculative duplicates and not wait for them.
  const rounds = new StepRunner({
    pool: coordinator.pool,
    job: coordinator.job,
    clock: systemClock(globalThis),
    mode: standardMode([0]),
    signal: new AbortController().signal,
    onWaiting: () => undefined,
  });
  const round = rounds.run(input(3));
  const shard = await client.next('shard');
  return { client, shard, round };
}

/** A valid answer to a shard. */
const answerTo = (
  { step, shard, samples }: ShardMessage,
  sums: Partial<ShardResult> = {},
): GradientMessage => ({
  type: 'gradient',
  step,
  shard,
  offset: 0,
  result: { samples, lossSum: 1, metrics: [0], computeMs: 1, ...sums },
});

const gradientOf = (value: number, count = length): Uint8Array =>
  new Uint8Array(new Float32Array(count).fill(value).buffer);

test.each([
  ['a wrong token', { ...hello, token: 'guess' }, CloseCode.unauthorized, /Wrong token\. .* or its --token/],
  [
    'a missing token',
    { ...hello, token: undefined },
    CloseCode.unauthorized,
    /This run needs a token\. .* or --token/,
  ],
  [
    'another protocol version',
    { ...hello, protocol: 1 },
    CloseCode.unsupported,
    /uses protocol 2, the worker protocol 1/,
  ],
  [
    'a worker without float32',
    { ...hello, codecs: ['morse'] },
    CloseCode.unsupported,
    /does not support float32/,
  ],
])('the coordinator rejects %s', async (_, message, code, sentence) => {
  const client = await openClient();
  client.send(JSON.parse(JSON.stringify(message)) as FromWorker);
  const closed = await client.closed;
  expect(closed.code).toBe(code);
  expect(closed.reason).toMatch(sentence);
});

test.each<[string, Uint8Array | string, number, RegExp]>([
  ['a text message', 'hello', CloseCode.malformed, /binary/],
  ['an empty frame', new Uint8Array(0), CloseCode.malformed, /at least 4 bytes/],
  [
    'a frame that is shorter than its header',
    Uint8Array.of(255, 0, 0, 0, 1),
    CloseCode.malformed,
    /255 bytes/,
  ],
  [
    'a header that is not msgpack',
    Uint8Array.of(2, 0, 0, 0, 0xc1, 0xc1, 0, 0),
    CloseCode.malformed,
    /msgpack/,
  ],
  [
    'a header that is not a message',
    Uint8Array.of(1, 0, 0, 0, 0x80, 0, 0, 0),
    CloseCode.malformed,
    /Not a message/,
  ],
  ['a hello that is too large', new Uint8Array(65537), CloseCode.tooLarge, /65537 bytes/],
])('the coordinator rejects %s', async (_, data, code, sentence) => {
  const client = await openClient();
  client.sendRaw(data);
  const closed = await client.closed;
  expect(closed.code).toBe(code);
  expect(closed.reason).toMatch(sentence);
});

test('the coordinator rejects a first message that is not a hello', async () => {
  const client = await openClient();
  client.send({ type: 'pong', id: 1 });
  expect(await client.closed).toMatchObject({ code: CloseCode.unexpected });
});

test('the coordinator rejects a frame that is larger than any gradient', async () => {
  const { client, round } = await withShard();
  client.sendRaw(new Uint8Array(length * 4 + (64 << 10) + 1));
  const closed = await client.closed;
  expect(closed.code).toBe(CloseCode.tooLarge);
  expect(closed.reason).toMatch(/larger than the limit of/);
  await round;
});

test('the WebSocket library rejects a frame that exceeds its limit', async () => {
  const { client, round } = await withShard();
  client.sendRaw(new Uint8Array(length * 4 * 20));
  expect(await client.closed).toMatchObject({ code: 1009 });
  await round;
});

test.each<[string, Partial<ShardResult> & { shard?: ShardId }, () => Uint8Array, number, RegExp]>([
  ['a gradient with NaN', {}, () => gradientOf(NaN), CloseCode.notFinite, /not finite/],
  ['a gradient with infinity', {}, () => gradientOf(Infinity), CloseCode.notFinite, /not finite/],
  ['a NaN loss', { lossSum: NaN }, () => gradientOf(0), CloseCode.notFinite, /loss of NaN/],
  [
    'more correct predictions than samples',
    { metrics: [65] },
    () => gradientOf(0),
    CloseCode.notFinite,
    /65 of 32/,
  ],
  [
    'a gradient that is too short',
    {},
    () => gradientOf(0, length - 1),
    CloseCode.wrongLength,
    /float32 values are/,
  ],
  ['a missing gradient', {}, () => new Uint8Array(0), CloseCode.wrongLength, /float32 values are/],
  [
    'another number of samples',
    { samples: 31 },
    () => gradientOf(0),
    CloseCode.notAssigned,
    /has 32 samples/,
  ],
  [
    'a shard that is not assigned to the client',
    { shard: 9999 as ShardId },
    () => gradientOf(0),
    CloseCode.notAssigned,
    /was not assigned/,
  ],
])(
  '%s does not count, and the client receives the reason',
  async (_, { shard: number, ...sums }, payload, code, sentence) => {
    const { client, shard, round } = await withShard();
    const answer = answerTo(shard, sums);
    client.send({ ...answer, shard: number ?? answer.shard }, payload());
    const rejected = await client.next('rejected');
    expect(rejected.code).toBe(code);
    expect(rejected.reason).toMatch(sentence);
    client.send({ type: 'leaving', reason: 'enough' });
    const result = await round;
    expect(result.gradientSum.every(Number.isFinite)).toBe(true);
  },
);

test('a client that sends three wrong answers is dropped with the code of the last one', async () => {
  const { client, shard, round } = await withShard();
  const answer = { ...answerTo(shard), shard: 9999 as ShardId };
  for (let i = 0; i < 3; i++) client.send(answer, gradientOf(0));
  expect(await client.closed).toMatchObject({ code: CloseCode.notAssigned });
  await round;
});

test('late answers, repeated answers and answers to another step change nothing', async () => {
  const { client, shard, round } = await withShard();
  const answer = answerTo(shard);
  client.send({ ...answer, step: 2 as Step }, gradientOf(1e6));
  client.send(answer, gradientOf(1));
  client.send(answer, gradientOf(1e6));
  const { gradientSum } = await round;
  expect(Math.max(...gradientSum)).toBeLessThan(1000);
  client.send(answer, gradientOf(1e6));
  client.send({ type: 'leaving', reason: 'enough' });
  expect(await client.closed).toMatchObject({ code: CloseCode.normal });
});

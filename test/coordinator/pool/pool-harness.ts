import type { ConnectionHandler } from '../../../coordinator/server/websocket.ts';
import { WorkerPool, type PoolOptions } from '../../../coordinator/pool/pool.ts';
import type { Codec } from '../../../shared/codec/codec.ts';
import { float32 } from '../../../shared/codec/float32.ts';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import type {
  FromCoordinator,
  FromWorker,
  Hello,
  ShardId,
  ShardResult,
  Step,
} from '../../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator, type Received } from '../../../shared/protocol/frame.ts';
import { exampleHello, exampleJob } from '../../shared/protocol/examples.ts';
import { linkedPair, type LinkedEnd } from '../../support/linked-connection.ts';
import { manualClock, settle, type ManualClock } from '../../support/manual-clock.ts';

/** Fields of an answer that a test sets. */
interface Answer extends Partial<ShardResult> {
  readonly type?: 'gradient' | 'evaluation';
  readonly step?: Step;
  readonly shard?: ShardId;
  readonly encoding?: string;
}

/** Worker's side of a connection to a pool, controlled by a test. */
export class Client {
  readonly received: Received<FromCoordinator>[] = [];
  readonly end: LinkedEnd;
  /** Called for each shard, for a worker that answers by itself. */
  onShard: () => void = () => undefined;

  constructor(pool: WorkerPool) {
    const { left, right } = linkedPair((side) =>
      side === 'left'
        ? { onFrame: (frame) => this.#receive(parseFromCoordinator(frame)), onClose: () => undefined }
        : owner,
    );
    let owner: ConnectionHandler = pool.connect(right, (accepted) => (owner = accepted));
    this.end = left;
  }

  #receive(received: Received<FromCoordinator>): void {
    this.received.push(received);
    if (received.message.type === 'shard') this.onShard();
  }

  get types(): string[] {
    return this.received.map(({ message }) => message.type);
  }

  get closed(): LinkedEnd['closed'] {
    return this.end.closed;
  }

  messages<Type extends FromCoordinator['type']>(type: Type): Extract<FromCoordinator, { type: Type }>[] {
    return this.received.flatMap(({ message }) =>
      message.type === type ? [message as Extract<FromCoordinator, { type: Type }>] : [],
    );
  }

  say(message: FromWorker, payload?: Uint8Array): Promise<void> {
    this.end.send(frameFromWorker(message, payload));
    return settle();
  }

  hello(more: Partial<Hello> = {}): Promise<void> {
    return this.say({ ...exampleHello, ...more });
  }

  /** Answers the last shard, or the one with this id. A gradient is answered by its last bucket, with these values. */
  answer(more: Answer = {}, values: readonly number[] = [1, 1, 1, 1, 1, 1], codec: Codec = float32) {
    const shards = this.messages('shard');
    const shard = shards.find(({ shard }) => shard === more.shard) ?? shards.at(-1);
    if (shard === undefined) throw new Error('This client has no shard.');
    const payload = new Uint8Array(codec.bytes(values.length));
    codec.encode(Float32Array.from(values), payload);
    const { type, step = shard.step, shard: id = shard.shard, encoding, ...sums } = more;
    const { samples } = shard;
    const result = { samples, lossSum: sums.samples ?? samples, metrics: [1], computeMs: 1, ...sums };
    if ((type ?? shard.task) === 'evaluation' || (type === undefined && shard.task === 'evaluate')) {
      return this.say({ type: 'evaluation', step, shard: id, result });
    }
    const codecField = encoding === undefined ? {} : { encoding };
    return this.say({ type: 'gradient', step, shard: id, offset: 0, ...codecField, result }, payload);
  }
}

/** Fields of a hello, and whether the pool splits this worker's vectors into the run's buckets. @default true */
export type JoinOptions = Partial<Hello> & { readonly buckets?: boolean };

export interface TestPool {
  readonly pool: WorkerPool;
  readonly clock: ManualClock;
  /** Events of the pool: 'joined ann', 'left ann: why', 'refused: why', 'answered ann: gradient' */
  readonly events: string[];
  /** Opens a connection without sending a hello. */
  readonly connect: () => Client;
  /** Joins a worker that is ready for shards. */
  readonly join: (name: string, changes?: JoinOptions) => Promise<Client>;
}

export function testPool(options: Partial<PoolOptions> = {}): TestPool {
  const clock = manualClock();
  let usesBuckets = true;
  const pool = new WorkerPool({
    job: exampleJob,
    rules: { maxWorkers: 10 },
    clock,
    maxFrameBytes: 2000,
    mode: { bucketOffsets: [0], hasChecksums: false },
    usesBuckets: () => usesBuckets,
    acceptObserver: () => {
      throw new ProtocolError(CloseCode.noFreeSlot, 'This pool accepts no observers.');
    },
    ...options,
  });
  const events: string[] = [];
  pool.subscribe({
    joined: ({ name }) => events.push(`joined ${name}`),
    left: ({ name }, reason) => events.push(`left ${name}: ${reason}`),
    answered: ({ name }, { type }) => events.push(`answered ${name}: ${type}`),
    refused: (reason) => events.push(`refused: ${reason}`),
  });
  const connect = (): Client => new Client(pool);
  return {
    pool,
    clock,
    events,
    connect,
    async join(name, { buckets = true, ...changes } = {}) {
      const client = connect();
      usesBuckets = buckets;
      await client.hello({ name, ...changes });
      usesBuckets = true;
      await client.say({ type: 'ready' });
      return client;
    },
  };
}

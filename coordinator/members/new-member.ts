import { nanoid } from 'nanoid';
import type { Hello, WorkerId } from '../../shared/protocol/messages.ts';
import type { Connection } from '../../shared/transport.ts';
import { LinkMeter } from '../links/link-figures.ts';
import { sendsUpdates, initialUplinkCodec, type LinkCodecs } from './link-codecs.ts';
import { instanceKey } from './instance-key.ts';
import type { Worker, MeasuredConnection } from './member.ts';
import { WorkerStats } from './worker-stats.ts';

/**
 * A worker as it is welcomed: nothing sent, nothing answered.
 * @param name as people see it
 * @param tails whether weights in pieces are worth while with it
 * @param recodes codecs that it may be asked to use in place of the first ones
 * @param sent hears of the bytes of each frame that was sent, and whether more is to follow
 */
export function createWorker(
  hello: Hello,
  codecs: LinkCodecs,
  connection: Connection,
  {
    name,
    nowMs,
    tails,
    recodes: switchableCodecs,
    sent,
  }: {
    readonly name: string;
    readonly nowMs: number;
    readonly tails: boolean;
    readonly recodes: readonly string[];
    readonly sent: (bytes: number, more: boolean) => void;
  },
): Worker {
  const stats = new WorkerStats();
  const updateCodec = sendsUpdates(codecs) ? codecs.down : null;
  return {
    id: nanoid<WorkerId>(10),
    name,
    engine: hello.engine,
    initialCodecs: { codec: initialUplinkCodec(codecs), updateCodec },
    switchableCodecs,
    codec: codecs.up,
    updateCodec,
    link: new LinkMeter(),
    supportsPrefetch: hello.prefetch ?? false,
    supportsBuckets: hello.tails === true && tails,
    connection: countBytes(connection, stats, sent),
    stats,
    lastMessageMs: nowMs,
    lastAnswerMs: 0,
    isStandby: false,
    supportsStandby: hello.reserve ?? false,
    instance: instanceKey(hello.instance),
    networkBlock: connection.addressBlock ?? '',
    joinedAtMs: nowMs,
    backpressuredSinceMs: null,
    acceptedAnswers: 0,
    strikes: 0,
    weightsStep: null,
    prefetchedWeights: null,
    roundShards: new Set(),
    requestedEncodings: new Map(),
  };
}

/** A connection that counts what leaves through it. */
function countBytes(
  connection: Connection,
  stats: WorkerStats,
  sent: (bytes: number, more: boolean) => void,
): MeasuredConnection {
  return {
    send(frame, more = false) {
      stats.bytesDown += frame.length;
      connection.send(frame);
      sent(frame.length, more);
    },
    close: (code, reason) => connection.close(code, reason),
    terminate: () => connection.terminate(),
    get receiveTiming() {
      return connection.receiveTiming;
    },
    get bufferedBytes() {
      return connection.bufferedBytes;
    },
  };
}

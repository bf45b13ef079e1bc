import { nanoid } from 'nanoid';
import type { Hello, WorkerId } from '../../shared/protocol/messages.ts';
import type { Connection } from '../../shared/transport.ts';
import { LinkMeter } from '../links/link-figures.ts';
import { sendsUpdates, welcomedUp, type LinkCodecs } from './link-codecs.ts';
import { instanceKey } from './instance-key.ts';
import type { Member, MeasuredConnection } from './member.ts';
import { WorkerStats } from './worker-stats.ts';

/**
 * A worker as it is welcomed: nothing sent, nothing answered.
 * @param name as people see it
 * @param tails whether weights in pieces are worth while with it
 * @param recodes codecs that it may be asked to use in place of the first ones
 * @param sent hears of the bytes of each frame that was sent, and whether more is to follow
 */
export function newMember(
  hello: Hello,
  codecs: LinkCodecs,
  connection: Connection,
  {
    name,
    nowMs,
    tails,
    recodes,
    sent,
  }: {
    readonly name: string;
    readonly nowMs: number;
    readonly tails: boolean;
    readonly recodes: readonly string[];
    readonly sent: (bytes: number, more: boolean) => void;
  },
): Member {
  const stats = new WorkerStats();
  const updateCodec = sendsUpdates(codecs) ? codecs.down : null;
  return {
    id: nanoid<WorkerId>(10),
    name,
    engine: hello.engine,
    welcomed: { codec: welcomedUp(codecs), updateCodec },
    recodes,
    codec: codecs.up,
    updateCodec,
    link: new LinkMeter(),
    prefetch: hello.prefetch ?? false,
    tails: hello.tails === true && tails,
    connection: counted(connection, stats, sent),
    stats,
    lastHeardMs: nowMs,
    answeredMs: 0,
    reserve: false,
    hearsReserve: hello.reserve ?? false,
    instance: instanceKey(hello.instance),
    block: connection.addressBlock ?? '',
    welcomedMs: nowMs,
    cloggedSinceMs: null,
    accepted: 0,
    strikes: 0,
    weightsStep: null,
    ahead: null,
    shards: new Set(),
    asked: new Map(),
  };
}

/** A connection that counts what leaves through it. */
function counted(
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
    get arrival() {
      return connection.arrival;
    },
    get bufferedBytes() {
      return connection.bufferedBytes;
    },
  };
}

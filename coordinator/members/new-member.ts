import { nanoid } from 'nanoid';
import type { Hello, WorkerId } from '../../shared/protocol/messages.ts';
import type { Connection } from '../../shared/transport.ts';
import { sendsUpdates, type LinkCodecs } from './link-codecs.ts';
import type { Member } from './member.ts';
import { WorkerStats } from './worker-stats.ts';

/**
 * A worker as it is welcomed: nothing sent, nothing answered.
 * @param tails whether weights in two pieces are worth while with it
 */
export function newMember(
  hello: Hello,
  codecs: LinkCodecs,
  connection: Connection,
  { nowMs, tails }: { readonly nowMs: number; readonly tails: boolean },
): Member {
  const stats = new WorkerStats();
  return {
    id: nanoid<WorkerId>(10),
    name: hello.name,
    engine: hello.engine,
    codec: codecs.up,
    updateCodec: sendsUpdates(codecs) ? codecs.down : null,
    prefetch: hello.prefetch ?? false,
    tails: hello.tails === true && tails,
    connection: counted(connection, stats),
    stats,
    lastHeardMs: nowMs,
    answeredMs: 0,
    reserve: false,
    hearsReserve: hello.reserve ?? false,
    instance: hello.instance ?? null,
    cloggedSinceMs: null,
    accepted: 0,
    strikes: 0,
    weightsStep: null,
    tailStep: null,
    shards: new Set(),
  };
}

/** A connection that counts what leaves through it. */
function counted(connection: Connection, stats: WorkerStats): Connection {
  return {
    send(frame) {
      stats.bytesDown += frame.length;
      connection.send(frame);
    },
    close: (code, reason) => connection.close(code, reason),
    terminate: () => connection.terminate(),
    get bufferedBytes() {
      return connection.bufferedBytes;
    },
  };
}

import { CoordinatorHost } from '../../coordinator/hosting/coordinator.ts';
import { runRelay, type RelayOptions } from '../../coordinator/relay/run-relay.ts';
import { systemClock, type Clock } from '../../shared/util/clock.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import type { Connect } from '../../shared/protocol/transport.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { fixedRandom } from './property.ts';
import { recordingReport } from './test-coordinator.ts';

export interface TestRelay {
  /** Address for its workers. */
  readonly url: string;
  readonly host: CoordinatorHost;
  /** Reason why it ended. */
  readonly ended: Promise<string>;
  readonly lines: readonly string[];
  /** Leaves in order. */
  leave(): void;
  /** Ends without a word, as a process that is killed does. */
  kill(): Promise<void>;
}

/** A relay on a free port in this process. */
export async function attachRelay(
  upstream: string,
  name: string,
  {
    connect = connectWebSocket,
    clock = systemClock(globalThis),
    buckets = false,
    token,
    ...options
  }: Partial<RelayOptions> & {
    readonly connect?: Connect;
    readonly clock?: Clock;
    /** Whether vectors are split although the workers are on this machine. */
    readonly buckets?: boolean;
  } = {},
): Promise<TestRelay> {
  const leaving = new AbortController();
  const report = recordingReport();
  const host = new CoordinatorHost({
    maxWorkers: 100,
    maxRuns: Infinity,
    pageDir: 'dist/page',
    clock,
    token,
  });
  const port = await host.listen({ host: '127.0.0.1', port: 0 });
  let cut = (): void => undefined;
  const ended = runRelay({
    host,
    url: upstream,
    name,
    version: '1.0.0',
    connect(url, events) {
      const connection = connect(url, events);
      cut = () => connection.terminate();
      return connection;
    },
    clock,
    random: fixedRandom(),
    report,
    signal: leaving.signal,
    ...(token === undefined ? {} : { token }),
    ...(buckets ? { usesBuckets: () => true } : {}),
    ...options,
  }).catch(errorMessage);
  return {
    url: `ws://127.0.0.1:${port}/`,
    host,
    ended,
    lines: report.lines,
    leave: () => leaving.abort(),
    async kill() {
      cut();
      leaving.abort();
      await ended;
    },
  };
}

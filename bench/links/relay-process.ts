// A relay of the bench, whose uplink has a delay. Each message of the parent starts one run; the answers are the port for its
// workers and, at the end, 'done'.
import { CoordinatorHost } from '../../coordinator/hosting/coordinator.ts';
import { growHeap } from '../../coordinator/commands/run-training.ts';
import { runRelay } from '../../coordinator/relay/run-relay.ts';
import { plainReporter } from '../../coordinator/report/plain.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import type { LinkWorkerConfig } from './shape.ts';
import { shapedConnect } from './shaped-connect.ts';

growHeap();
const clock = systemClock(globalThis);

async function run(config: LinkWorkerConfig): Promise<void> {
  const host = new CoordinatorHost({ maxWorkers: 100, maxRuns: Infinity, pageDir: 'dist/page', clock });
  const port = await host.listen({ host: '0.0.0.0', port: 0 });
  process.send?.(port);
  await runRelay({
    host,
    url: config.url,
    name: 'relay',
    version: '1',
    connect: shapedConnect(connectWebSocket, config),
    clock,
    random: Math.random,
    report: plainReporter(
      (line) => (config.verbose === true ? console.error(`    relay: ${line}`) : undefined),
      clock,
    ),
    signal: new AbortController().signal,
    usesBuckets: () => true,
    switchesCodecs: () => true,
    codec: config.codec,
  });
  process.send?.('done');
}

process.on('message', (config: LinkWorkerConfig) => void run(config));
process.once('disconnect', () => process.exit(0));
process.send?.('ready');

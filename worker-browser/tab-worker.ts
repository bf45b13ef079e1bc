import { systemClock } from '../shared/util/clock.ts';
import { benchmarkJob } from '../shared/engine/benchmark-job.ts';
import { ownOriginCode } from '../shared/worker/custom-code-access.ts';
import { createTabSession } from './tab-session.ts';
import { createBrowserConnections } from './connect-websocket.ts';
import { parseOverride } from './engine/backend-candidates.ts';
import { TabEngines } from './engine/tab-engines.ts';
import { watchForSleep } from './lifecycle/policies.ts';
import { PictureReader } from './picture-reader.ts';
import { indexedDbStorage } from './sample-storage.ts';
import { startWorker } from './start-worker.ts';
import type { FromPage, FromTab } from './tab-messages.ts';
import type { FromEngine, Port } from '../shared/engine/remote-engine/messages.ts';

// The socket lives in a Web Worker because browsers slow down a page's timers while its tab is hidden. Engines have Web
// Workers of their own, so that this one answers pings while they compute.
const scope = globalThis as unknown as DedicatedWorkerGlobalScope;
const post = (message: FromTab): void => scope.postMessage(message);
const clock = systemClock(globalThis);
/** Samples of a benchmark: enough for a GPU to reach its speed, few enough for a phone. */
const BENCHMARK_SAMPLES = 32;
/** Memory for samples that the tab has been sent, and bytes for them in IndexedDB, where those of several data sets are. */
const MAX_SAMPLE_BYTES = 2 ** 28;
const MAX_STORED_BYTES = 2 ** 29;
/** Samples for an engine that the address names: it only has to work, as it is compared with none. */
const SMOKE_TEST_SAMPLES = 4;

// Older browsers lack these, contrary to their types.
const { OffscreenCanvas } = scope as { readonly OffscreenCanvas?: object };
const { hardwareConcurrency = 1, gpu } = scope.navigator as Partial<WorkerNavigator>;
// The address of this file, since a page of another site starts it from one without a query.
const override = parseOverride(new URL(import.meta.url).search);
const engines = new TabEngines({
  startWorker: () => portOf(startEngineWorker()),
  allocateShared: scope.crossOriginIsolated ? (bytes) => new SharedArrayBuffer(bytes) : null,
  capabilities: {
    cores: hardwareConcurrency,
    secureContext: scope.isSecureContext,
    hasWebGpu: gpu !== undefined,
    hasOffscreenCanvas: OffscreenCanvas !== undefined,
  },
  override,
  benchmarkCase: benchmarkJob(override.backend === null ? BENCHMARK_SAMPLES : SMOKE_TEST_SAMPLES),
  clock,
});
const reader = new PictureReader({
  open: () => engines.openExtra(),
  clock,
  onPrediction: (probabilities) => post({ type: 'prediction', probabilities }),
  onSamplePredictions: (values) => post({ type: 'samplePredictions', values }),
  note: (line) => post({ type: 'note', line }),
});
let share = 1;
const connections = createBrowserConnections(clock);
const retryListeners = new Set<() => void>();
const retryNow = (): void => {
  connections.checkLiveness();
  retryListeners.forEach((callback) => callback());
};
watchForSleep(clock, () => Date.now(), retryNow);

const tab = createTabSession({
  engines,
  wrapEngine: (engine) => reader.tapWeights(engine),
  // Not earlier: opening an engine would slow the first shard, from which the coordinator estimates this tab's throughput.
  onComputed: () => reader.prepare(),
  share: () => share,
  connect: connections.connect,
  sampleStore: {
    maxBytes: MAX_SAMPLE_BYTES,
    storage: indexedDbStorage(MAX_STORED_BYTES, () => Date.now()),
  },
  customCode: (url) => ownOriginCode(url, scope.location, fetchBytes),
  clock,
  random: Math.random,
  onRetryNow(callback) {
    retryListeners.add(callback);
    return () => retryListeners.delete(callback);
  },
  post,
});

scope.onmessage = ({ data: message }: MessageEvent<FromPage>) => {
  switch (message.type) {
    case 'join':
      tab.join(message);
      return;
    case 'pause':
      tab.pause();
      return;
    case 'share':
      share = message.share;
      return;
    case 'picture':
      reader.show(message.picture);
      return;
    case 'samples':
      reader.showSamples(message.samples);
      return;
    case 'weights':
      reader.readWith(message.job, message.payload);
      return;
    case 'prepareReader':
      reader.prepare();
      return;
    case 'retryNow':
      retryNow();
      return;
  }
};

async function fetchBytes(address: string): Promise<Uint8Array> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`The answer was ${response.status}.`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Starts the Web Worker of an engine. Bundlers find the file of the package by these very words. */
const startEngineWorker = (): Worker =>
  IS_SERVED
    ? startWorker(new URL(ENGINE_WORKER_FILE, import.meta.url), scope.location.origin)
    : new Worker(new URL('./engine-worker.js', import.meta.url), { type: 'module' });

function portOf(worker: Worker): Port {
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    end: () => worker.terminate(),
    listen(onMessage, onDeath) {
      worker.onmessage = ({ data }: MessageEvent<FromEngine>) => onMessage(data);
      worker.onerror = (event) => {
        event.preventDefault();
        onDeath(event.message || 'its Web Worker could not be loaded');
      };
      worker.onmessageerror = () => onDeath('a message of its Web Worker cannot be read');
    },
  };
}

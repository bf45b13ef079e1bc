import { clockOf } from '../shared/clock.ts';
import { sampleJob } from '../shared/engine/sample-job.ts';
import { contribute } from './contribute.ts';
import { browserConnections } from './connect.ts';
import { wishOf } from './engine/candidates.ts';
import { TabEngines } from './engine/tab-engines.ts';
import { startEngineWorker } from './engine/web-worker.ts';
import { watchForSleep } from './manners/sleep.ts';
import { PictureReader } from './picture-reader.ts';
import type { FromPage, FromTab } from './tab-messages.ts';

// The socket lives in a Web Worker: a page's own timers are slowed down when its tab is hidden. Engines have Web Workers
// of their own, so that pings are answered while they compute.
const scope = globalThis as unknown as DedicatedWorkerGlobalScope;
const post = (message: FromTab): void => scope.postMessage(message);
const clock = clockOf(globalThis);
/** In a trial: enough for a GPU to show what it can, little enough for a phone. */
const TRIAL_SAMPLES = 32;
/** Where nothing is compared, a sign of life will do. */
const SIGN_OF_LIFE_SAMPLES = 4;

/** Browsers that this was written before have less. */
const { OffscreenCanvas } = scope as { readonly OffscreenCanvas?: object };
const { hardwareConcurrency = 1, gpu } = scope.navigator as Partial<WorkerNavigator>;
const wish = wishOf(scope.location.search);
const engines = new TabEngines({
  startWorker: () => startEngineWorker(new URL(ENGINE_WORKER_FILE, scope.location.href)),
  sharedFloats: scope.crossOriginIsolated
    ? (length) => new Float32Array(new SharedArrayBuffer(length * 4))
    : null,
  surroundings: {
    cores: hardwareConcurrency,
    secureContext: scope.isSecureContext,
    hasWebGpu: gpu !== undefined,
    hasOffscreenCanvas: OffscreenCanvas !== undefined,
  },
  wish,
  sample: sampleJob(wish.backend === null ? TRIAL_SAMPLES : SIGN_OF_LIFE_SAMPLES),
  clock,
});
const reader = new PictureReader({
  open: () => engines.another(),
  clock,
  tell: (probabilities) => post({ type: 'read', probabilities }),
  note: (line) => post({ type: 'note', line }),
});
let share = 1;
const connections = browserConnections(clock);
const hurried = new Set<() => void>();
const hurry = (): void => {
  connections.doubt();
  hurried.forEach((callback) => callback());
};
watchForSleep(clock, () => Date.now(), hurry);

const tab = contribute({
  engines,
  around: (engine) => reader.around(engine),
  // Not before: opening it would slow the first shard, by which the coordinator knows this tab.
  onComputed: () => reader.prepare(),
  share: () => share,
  connect: connections.connect,
  clock,
  random: Math.random,
  onHurry(callback) {
    hurried.add(callback);
    return () => hurried.delete(callback);
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
    case 'weights':
      reader.readWith(message.job, message.payload);
      return;
    case 'prepareReader':
      reader.prepare();
      return;
    case 'hurry':
      hurry();
      return;
  }
};

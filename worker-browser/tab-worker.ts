import { clockOf } from '../shared/clock.ts';
import type { Engine } from '../shared/engine/engine.ts';
import type { Job } from '../shared/model/job.ts';
import { RefusedError, runWorker } from '../shared/worker/connection-loop.ts';
import type { WorkerReport } from '../shared/worker/run-session.ts';
import { connectWebSocket } from './connect.ts';
import { openEngine } from './engine.ts';
import { pacedEngine } from './paced-engine.ts';
import { PictureReader } from './picture-reader.ts';
import type { FromPage, FromTab, RunSummary } from './tab-messages.ts';

// Computing and the socket live in a Web Worker: a page's own timers are slowed down when its tab is hidden.
const scope = globalThis as unknown as DedicatedWorkerGlobalScope;
const post = (message: FromTab): void => scope.postMessage(message);

const opening = openEngine(new URL('wasm/', scope.location.href).href);
opening.then(
  ({ engine, why }) => post({ type: 'engine', info: engine.info, why }),
  () => undefined, // Said by whoever joins.
);

const clock = clockOf(globalThis);
const reader = new PictureReader(clock, (probabilities) => post({ type: 'read', probabilities }));
let share = 1;
let current: AbortController | null = null;

scope.onmessage = ({ data: message }: MessageEvent<FromPage>) => {
  switch (message.type) {
    case 'join': {
      if (current !== null) return;
      const controller = new AbortController();
      current = controller;
      void work(message, controller.signal).then((end) => {
        current = null;
        post(end);
      });
      return;
    }
    case 'pause':
      current?.abort();
      return;
    case 'share':
      share = message.share;
      return;
    case 'picture':
      reader.show(message.picture);
      return;
    case 'weights':
      void look(message);
      return;
  }
};

type Join = Extract<FromPage, { type: 'join' }>;

/** Takes part in the run until it is over or the person pauses. Never rejects. */
async function work({ url, name, token }: Join, signal: AbortSignal): Promise<FromTab> {
  try {
    const { engine } = await opening;
    reader.release();
    const reason = await runWorker({
      url,
      name,
      ...(token === undefined ? {} : { token }),
      engine: announced(pacedEngine(reader.around(engine), () => share, clock, signal)),
      connect(to, events) {
        post({ type: 'connecting' });
        return connectWebSocket(to, events);
      },
      clock,
      random: Math.random,
      report,
      signal,
    });
    return signal.aborted ? { type: 'paused' } : { type: 'finished', reason };
  } catch (error) {
    if (error instanceof RefusedError) return { type: 'refused', reason: error.reason };
    return { type: 'failed', reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Reads the picture with weights of the feed. An engine that does not start is said by whoever joins. */
async function look({ job, payload }: Extract<FromPage, { type: 'weights' }>): Promise<void> {
  try {
    const { engine } = await opening;
    if (current === null) await reader.readWith(engine, job, payload);
  } catch (error) {
    post({
      type: 'note',
      line: `Cannot read the picture: ${error instanceof Error ? error.message : String(error)}`,
    });
  }
}

/** Says when the model is being built, which takes a while on a slow device. */
function announced(engine: Engine): Engine {
  return {
    info: engine.info,
    load(job) {
      post({ type: 'building' });
      return engine.load(job);
    },
  };
}

const report: WorkerReport = {
  joined: ({ job, workerId }) => post({ type: 'joined', run: summaryOf(job), workerId }),
  computed: (task, step, samples) =>
    // A training step's number counts the updates before it, an evaluation's those that it looks at.
    post({ type: 'computed', step: task === 'train' ? step + 1 : step, samples }),
  waiting: (_line, { reason, waitMs }) => post({ type: 'waiting', reason, waitMs }),
  note: (line) => post({ type: 'note', line }),
};

function summaryOf({ data, batchSize, epochs }: Job): RunSummary {
  return { dataName: data.name, steps: Math.ceil(data.trainSamples / batchSize) * epochs };
}

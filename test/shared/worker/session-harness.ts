import { getEventListeners } from 'node:events';
import type { Shard } from '../../../shared/data/shard.ts';
import type { Engine, ShardResult, GradientBucket, GradientComputer } from '../../../shared/engine/engine.ts';
import type { Job } from '../../../shared/model/job.ts';
import type { FromCoordinator, FromWorker } from '../../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../../shared/protocol/frame.ts';
import type { Connect } from '../../../shared/protocol/transport.ts';
import { runWorker } from '../../../shared/worker/connection-loop.ts';
import type { WorkerOptions } from '../../../shared/worker/options.ts';
import { linkedPair, type LinkedEnd } from '../../support/linked-connection.ts';
import { manualClock, settle, type ManualClock } from '../../support/manual-clock.ts';
import { imagesOf, labelsOf } from '../../support/images.ts';

/** Coordinator's end of one connection. */
interface Link {
  readonly received: FromWorker[];
  readonly payloads: Uint8Array[];
  readonly end: LinkedEnd;
  send(message: FromCoordinator, payload?: Uint8Array): Promise<void>;
}

/** A coordinator that sends the messages of a test to workers that connect. */
export class ScriptedCoordinator {
  readonly links: Link[] = [];
  /** While true, connections fail. */
  down = false;
  /** While true, connections neither open nor fail. */
  hanging = false;

  readonly connect: Connect = (_url, events) => {
    const received: FromWorker[] = [];
    const payloads: Uint8Array[] = [];
    const { left, right } = linkedPair((side) =>
      side === 'left'
        ? events
        : {
            onFrame(frame) {
              const { message, payload } = parseFromWorker(frame);
              received.push(message);
              payloads.push(payload);
            },
            onClose: () => undefined,
          },
    );
    const send: Link['send'] = (message, payload) => {
      right.send(frameFromCoordinator(message, payload));
      return settle();
    };
    this.links.push({ received, payloads, end: right, send });
    if (this.down) right.close(1006, 'connect ECONNREFUSED');
    else if (!this.hanging) queueMicrotask(() => events.onOpen());
    return left;
  };

  get link(): Link {
    return this.links.at(-1)!;
  }

  get types(): string[] {
    return this.link.received.map(({ type }) => type);
  }
}

/** An engine without arithmetic; each method can be replaced by a test. */
export class FakeEngine implements Engine {
  readonly info = { backend: 'fake', version: '1', device: 'none', threads: 1 };
  readonly loaded: Job[] = [];
  readonly weights: number[][] = [];
  /** Whether each call of setWeights transferred the ownership of the memory. */
  readonly transfers: boolean[] = [];
  readonly prepared: number[][] = [];
  disposed = 0;
  /** Addresses of custom code, with which jobs were loaded. */
  readonly modules: string[] = [];
  onLoad: (job: Job) => Promise<void> = () => Promise.resolve();
  onGradient: (shard: Shard) => Promise<ShardResult> = () => Promise.resolve({ lossSum: 2, metrics: [1] });
  onWeights: () => void = () => undefined;
  onEarlyBucket: (early: GradientBucket | undefined) => void = () => undefined;

  async load(job: Job, module?: string): Promise<GradientComputer> {
    this.loaded.push(job);
    if (module !== undefined) this.modules.push(module);
    await this.onLoad(job);
    return {
      setWeights: (weights, transferOwnership = false) => {
        this.onWeights();
        this.weights.push([...weights]);
        this.transfers.push(transferOwnership);
      },
      gradient: (_step, shard, gradient, early) => {
        this.onEarlyBucket(early);
        gradient.set(
          [...shard.sampleNumbers, ...imagesOf(shard), ...labelsOf(shard)].slice(0, gradient.length),
        );
        return this.onGradient(shard);
      },
      prepare: (_step, shard) => {
        this.prepared.push([...shard.sampleNumbers]);
      },
      evaluate: () => Promise.resolve({ lossSum: 3, metrics: [1] }),
      predict: () => Promise.resolve(new Float32Array(0)),
      dispose: () => {
        this.disposed++;
      },
    };
  }
}

export interface RunningWorker {
  readonly clock: ManualClock;
  readonly coordinator: ScriptedCoordinator;
  readonly engine: FakeEngine;
  readonly lines: string[];
  /** Outcome of runWorker(); null while it runs. */
  readonly ended: { readonly outcome: 'returned' | 'threw'; readonly sentence: string } | null;
  abort(): Promise<void>;
  /** Number of listeners of the signal and of timers of the clock. Both must be zero at the end. */
  readonly left: { readonly listeners: number; readonly timers: number };
}

/** Starts a worker with a scripted coordinator and a clock that the test advances. */
export async function startWorker(
  prepare: (coordinator: ScriptedCoordinator, engine: FakeEngine) => void = () => undefined,
  options: Partial<
    Pick<
      WorkerOptions,
      'machine' | 'random' | 'token' | 'customCode' | 'connect' | 'abandonsEngine' | 'onRetryNow' | 'locate'
    >
  > = {},
): Promise<RunningWorker> {
  const clock = manualClock();
  const coordinator = new ScriptedCoordinator();
  const engine = new FakeEngine();
  const stop = new AbortController();
  const lines: string[] = [];
  let ended: RunningWorker['ended'] = null;
  prepare(coordinator, engine);
  void runWorker({
    url: 'ws://made:1',
    name: 'ann',
    engine,
    connect: coordinator.connect,
    clock,
    random: () => 0,
    report: {
      joined: ({ workerId }) => lines.push(`joined as ${workerId}`),
      computed: (task, step, samples) => lines.push(`${task} ${samples} of step ${step}`),
      waiting: (line) => lines.push(line),
      note: (line) => lines.push(line),
    },
    signal: stop.signal,
    ...options,
  }).then(
    (sentence) => (ended = { outcome: 'returned', sentence }),
    (error: unknown) => (ended = { outcome: 'threw', sentence: (error as Error).message }),
  );
  await settle();
  return {
    clock,
    coordinator,
    engine,
    lines,
    get ended() {
      return ended;
    },
    abort() {
      stop.abort();
      return settle();
    },
    get left() {
      return { listeners: getEventListeners(stop.signal, 'abort').length, timers: clock.pending };
    },
  };
}

import { randomInt } from 'node:crypto';
import { float32 } from '../../shared/codec/float32.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Job } from '../../shared/model/job.ts';
import { openFrame } from '../../shared/protocol/frame.ts';
import {
  PROTOCOL_VERSION,
  type CurvePoint,
  type EpochRecord,
  type FromCoordinator,
  type Notice,
  type ProgressMessage,
  type RunMessage,
  type WorkerRow,
} from '../../shared/protocol/messages.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import type { ConnectionHandler } from '../pool/handshake.ts';
import { codecLabel } from '../links/codecs.ts';
import type { Worker } from '../pool/worker.ts';
import type { WorkerPool } from '../pool/pool.ts';
import { remainingSeconds, type StepReport, type TrainingListener } from '../report/reporter.ts';
import { stepsPerEpoch } from '../training/sampler.ts';
import { TrainingCurve, WorkerActivity, type RecentActivity } from './rolling-stats.ts';
import { Observers } from './observers.ts';

export interface FeedOptions {
  readonly job: Job;
  readonly clock: Clock;
  readonly pool: Pick<WorkerPool, 'workers'>;
  /** Epochs that were done before, of a run that is gone on with. */
  readonly epochs?: readonly EpochRecord[] | undefined;
  /** What limits a step now, and what would help; null while that is not known. */
  readonly advice?: () => string | null;
  /** Who was not let in, had to go or is kept in reserve. */
  readonly notices?: () => readonly Notice[];
  /** Where other devices find the page; told to observers on this machine. */
  readonly addresses?: () => readonly string[];
  /** Places for observers. */
  readonly maxObservers?: number | undefined;
}

const PROGRESS_INTERVAL_MS = 500;
/** Weights are megabytes: at most this often, whoever asks. */
const WEIGHTS_INTERVAL_MS = 2_000;
const MAX_CURVE_POINTS = 600;
/** randomInt gives no more at once; nobody guesses one of so many. */
const MAX_PING_ID = 2 ** 48 - 1;

/** The run as observers see it: hears what the report hears, and tells it on, a few times a second at most. */
export class Feed implements TrainingListener {
  readonly #options: FeedOptions;
  readonly #observers: Observers;
  readonly #curve = new TrainingCurve(MAX_CURVE_POINTS);
  readonly #activity = new WorkerActivity();
  readonly #epochs: EpochRecord[];
  readonly #stepsPerEpoch: number;
  #newPoints: CurvePoint[] = [];
  /** Of this epoch. */
  #epochProgress: StepReport | null = null;
  #lastStep: StepReport | null = null;
  #epoch = 0;
  #epochStartedMs = 0;
  #weightsSentMs = -Infinity;
  /** Why the run is over; null while it is not. */
  #finishReason: string | null = null;
  #cancelTick: () => void;

  constructor(options: FeedOptions) {
    this.#options = options;
    const { clock, maxObservers } = options;
    this.#observers = new Observers({ clock, maxObservers, createPingId: () => randomInt(MAX_PING_ID) });
    this.#epochs = [...(options.epochs ?? [])];
    this.#stepsPerEpoch = stepsPerEpoch(options.job.data.trainSamples, options.job.batchSize);
    this.#cancelTick = options.clock.after(PROGRESS_INTERVAL_MS, () => this.#tick());
  }

  get observerCount(): number {
    return this.#observers.count;
  }

  /** @throws ProtocolError (full) */
  watch(connection: Connection): ConnectionHandler {
    return this.#observers.add(connection, () => {
      // What is in the curve that it gets first is not told it again as news.
      if (this.#newPoints.length > 0) this.#sendProgress();
      return [this.#runMessage(connection.isSameMachine === true), ...this.#finishedMessages()];
    });
  }

  epochStarted(epoch: number): void {
    this.#epoch = epoch;
    this.#epochStartedMs = this.#options.clock.now();
    this.#epochProgress = null;
  }

  stepFinished(news: StepReport): void {
    this.#epochProgress = this.#lastStep = news;
    const { epoch, step, batch } = news;
    this.#activity.stepFinished(this.#options.pool.workers.values(), batch.samples);
    const all = (epoch - 1) * this.#stepsPerEpoch + step;
    const point = this.#curve.add(all, batch.samples, batch.lossSum, batch.correct);
    if (point !== null && this.#observers.count > 0) this.#newPoints.push(point);
  }

  epochFinished(record: EpochRecord): void {
    this.#epochs.push(record);
    this.#observers.broadcast({ type: 'epoch', record });
  }

  /**
   * The run is over: observers hear the last figures and why, and get the last weights if they asked for them. They may
   * stay, and others may come, until close().
   */
  finish(reason: string): void {
    if (this.#finishReason !== null) return;
    this.#sendProgress();
    this.#finishReason = reason;
    this.#observers.broadcast({ type: 'finished', reason });
    const weights = this.#lastStep?.weights;
    if (weights !== undefined) this.#observers.sendFinalWeights(() => encodeWeights(weights));
  }

  /** @param reason of the end, unless finish() has said it */
  close(reason: string): void {
    this.finish(reason);
    this.#cancelTick();
    this.#observers.close(reason);
  }

  #tick(): void {
    const { clock } = this.#options;
    this.#cancelTick = clock.after(PROGRESS_INTERVAL_MS, () => this.#tick());
    // Behind its last step an epoch is measured on the test data.
    const isTraining = this.#epochProgress?.step !== this.#stepsPerEpoch;
    this.#activity.recordProgress(this.#options.pool.workers.values(), clock.now(), isTraining);
    if (this.#observers.count === 0) {
      // Whoever comes next is sent the whole curve.
      this.#newPoints = [];
      return;
    }
    this.#observers.checkLiveness();
    if (this.#finishReason === null) this.#sendProgress();
    const weights = this.#lastStep?.weights;
    if (weights === undefined) return;
    if (clock.now() - this.#weightsSentMs < WEIGHTS_INTERVAL_MS) return;
    this.#observers.sendWeights(() => {
      this.#weightsSentMs = clock.now();
      return encodeWeights(weights);
    });
  }

  /** What an observer of a finished run is told after the run. */
  #finishedMessages(): FromCoordinator[] {
    const reason = this.#finishReason;
    return reason === null ? [] : [this.#progressMessage(), { type: 'finished', reason }];
  }

  #sendProgress(): void {
    this.#observers.broadcast(this.#progressMessage());
    this.#newPoints = [];
  }

  #runMessage(onThisMachine: boolean): RunMessage {
    const curve = [...this.#curve.points];
    const { job } = this.#options;
    const epochs = this.#epochs;
    const addresses = onThisMachine ? [...(this.#options.addresses?.() ?? [])] : [];
    return {
      type: 'run',
      protocol: PROTOCOL_VERSION,
      job,
      steps: this.#stepsPerEpoch,
      curve,
      epochs,
      ...(addresses.length === 0 ? {} : { addresses }),
    };
  }

  #progressMessage(): ProgressMessage {
    const { clock, pool } = this.#options;
    const members = [...pool.workers.values()];
    const progress = this.#epochProgress;
    const advice = this.#options.advice?.() ?? null;
    const notices = [...(this.#options.notices?.() ?? [])];
    const elapsed = (clock.now() - this.#epochStartedMs) / 1000;
    return {
      type: 'progress',
      epoch: this.#epoch,
      step: progress?.step ?? 0,
      loss: progress?.loss ?? null,
      accuracy: progress?.accuracy ?? null,
      samplesPerSecond: progress?.samplesPerSecond ?? 0,
      etaSeconds: progress === null ? null : remainingSeconds(progress, elapsed),
      curve: this.#newPoints,
      workers: members.map((member) => workerRow(member, this.#activity.get(member))),
      slowest: findSlowest(members),
      ...(advice === null ? {} : { advice }),
      ...(notices.length === 0 ? {} : { notices }),
    };
  }
}

function encodeWeights({ step, source }: StepReport['weights']): Uint8Array {
  const values = source.committedWeights;
  const message: FromCoordinator = { type: 'weights', step, offset: 0 };
  const { bytes, payload } = openFrame(message, float32.bytes(values.length));
  float32.encode(values, payload);
  return bytes;
}

/** Before a worker has answered a few training shards, nothing is known of them. */
const NO_SHARD = { computeMs: 0, turnaroundMs: 0 };

function workerRow(member: Worker, { share, samplesPerSecond }: RecentActivity): WorkerRow {
  const { id, name, engine, stats, link, isStandby } = member;
  const { samples, rttMs, bytesUp, bytesDown } = stats;
  const { computeMs, turnaroundMs } = link.meter.shard ?? NO_SHARD;
  return {
    id,
    name,
    backend: engine.backend,
    device: engine.device,
    share: isStandby ? 0 : share,
    samples,
    samplesPerSecond,
    computeMs,
    turnaroundMs,
    rttMs,
    bytesUp,
    bytesDown,
    standby: isStandby,
    codecs: codecLabel(link),
  };
}

/** A step is as slow as its slowest worker; of that one, either the computing or the rest takes longer. */
function findSlowest(members: readonly Worker[]): ProgressMessage['slowest'] {
  const [slowest] = members
    .flatMap(({ id, link, isStandby }) =>
      link.meter.shard === null || isStandby ? [] : [{ id, ...link.meter.shard }],
    )
    .sort((a, b) => b.turnaroundMs - a.turnaroundMs);
  if (slowest === undefined) return null;
  const { id, computeMs, turnaroundMs } = slowest;
  return { id, cause: computeMs * 2 >= turnaroundMs ? 'compute' : 'link' };
}

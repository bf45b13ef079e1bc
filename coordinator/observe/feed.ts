import { randomInt } from 'node:crypto';
import { float32 } from '../../shared/codec/float32.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Job } from '../../shared/model/job.ts';
import { Scoring } from '../../shared/model/scoring.ts';
import { openFrame } from '../../shared/protocol/frame.ts';
import {
  MAX_TIMELINE_SHARDS,
  PROTOCOL_VERSION,
  type CurvePoint,
  type EpochRecord,
  type FromCoordinator,
  type Notice,
  type ProgressMessage,
  type RunMessage,
  type StepTimeline,
  type WorkerRow,
} from '../../shared/protocol/messages.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import type { ConnectionHandler } from '../server/websocket.ts';
import { codecLabel } from '../links/codecs.ts';
import type { Worker } from '../pool/worker.ts';
import type { WorkerPool } from '../pool/pool.ts';
import {
  remainingSeconds,
  type StepReport,
  type TrainingListener,
  type WorkerShare,
} from '../report/reporter.ts';
import { TrainingCurve, WorkerActivity, type RecentActivity } from './rolling-stats.ts';
import { Observers } from './observers.ts';
import { RunDetails, type ShownRun } from './run-details.ts';

export interface FeedOptions extends ShownRun {
  readonly job: Job;
  readonly clock: Clock;
  readonly pool: Pick<WorkerPool, 'workers'>;
  /** Epochs that were finished before a run was resumed. */
  readonly epochs?: readonly EpochRecord[] | undefined;
  /** Advice on what limits a step; null while there is none. */
  readonly advice?: () => string | null;
  /** Workers that were refused, banned or put on standby. */
  readonly notices?: () => readonly Notice[];
  /** Addresses of the page for other devices; sent to observers on this machine only. */
  readonly addresses?: () => readonly string[];
  /** Number of observers. @default that of Observers */
  readonly maxObservers?: number | undefined;
}

const PROGRESS_INTERVAL_MS = 500;
/**
 * Time between the rows of workers for each of them, and at most. A row has about 270 bytes: an observer receives at most about
 * 140 kB a second of 1,000 workers.
 */
const ROW_INTERVAL_MS = 2;
const MAX_ROWS_INTERVAL_MS = 5_000;
/** Weights are megabytes, so they are not sent more often than this. */
const WEIGHTS_INTERVAL_MS = 2_000;
const MAX_CURVE_POINTS = 600;
/** Workers in a message, the oldest ones; the rows of a thousand workers have some 300 KB. */
const MAX_ROWS = 1_000;
/** The largest range of randomInt, too large to guess a number. */
const MAX_PING_ID = 2 ** 48 - 1;

/** Sends the progress of a run to its observers, twice a second. */
export class Feed implements TrainingListener {
  readonly #options: FeedOptions;
  readonly #observers: Observers;
  readonly #curve: TrainingCurve;
  readonly #activity = new WorkerActivity();
  readonly #epochs: EpochRecord[];
  readonly #stepsPerEpoch: number;
  #newPoints: CurvePoint[] = [];
  /** Last step of the current epoch; null before its first step. */
  #epochProgress: StepReport | null = null;
  #lastStep: StepReport | null = null;
  #epoch = 0;
  #epochStartedMs = 0;
  #weightsSentMs = -Infinity;
  /** Time of the last message with the rows of workers; -Infinity if the next one must have them. */
  #rowsSentMs = -Infinity;
  /** The first step since observers were last sent one. */
  #timeline: StepTimeline | null = null;
  #isTimelineSent = false;
  /** Reason for the end of the run; null before its end. */
  #finishReason: string | null = null;
  #cancelTick: () => void;

  constructor(options: FeedOptions) {
    this.#options = options;
    const { clock, maxObservers, job } = options;
    this.#curve = new TrainingCurve(MAX_CURVE_POINTS, new Scoring(job));
    const details = new RunDetails(job, options);
    this.#observers = new Observers({
      clock,
      maxObservers,
      createPingId: () => randomInt(MAX_PING_ID),
      createDetails: () => details.frame(),
    });
    this.#epochs = [...(options.epochs ?? [])];
    this.#stepsPerEpoch = Math.ceil(options.job.data.trainSamples / options.job.batchSize);
    this.#cancelTick = options.clock.after(PROGRESS_INTERVAL_MS, () => this.#tick());
  }

  get observerCount(): number {
    return this.#observers.count;
  }

  /** Shares of the connected workers in the last finished step. */
  get shares(): WorkerShare[] {
    const workers = [...this.#options.pool.workers.values()];
    return workers.map((worker) => ({ name: worker.name, share: this.#activity.get(worker).share }));
  }

  /** @throws ProtocolError (full) */
  watch(connection: Connection): ConnectionHandler {
    return this.#observers.add(connection, () => {
      // The run message has all points, so the new ones must not be sent to this observer again.
      if (this.#newPoints.length > 0) this.#sendProgress(false);
      this.#rowsSentMs = -Infinity;
      return [this.#runMessage(connection.isSameMachine === true), ...this.#finishedMessages()];
    });
  }

  epochStarted(epoch: number): void {
    this.#epoch = epoch;
    this.#epochStartedMs = this.#options.clock.now();
    this.#epochProgress = null;
  }

  stepFinished(report: StepReport): void {
    this.#epochProgress = report;
    this.#lastStep = report;
    const { epoch, step, batch } = report;
    this.#activity.stepFinished(this.#options.pool.workers.values(), batch.samples);
    const stepOfRun = (epoch - 1) * this.#stepsPerEpoch + step;
    if (this.#timeline === null || (this.#isTimelineSent && this.#observers.count > 0)) {
      const { clock, pool } = this.#options;
      this.#timeline = traceStep(stepOfRun, report.weights.step - 1, pool.workers.values(), clock.now());
      this.#isTimelineSent = false;
    }
    const point = this.#curve.add(stepOfRun, batch.samples, batch);
    if (point !== null && this.#observers.count > 0) this.#newPoints.push(point);
  }

  epochFinished(record: EpochRecord): void {
    this.#epochs.push(record);
    this.#observers.broadcast({ type: 'epoch', record });
  }

  /**
   * Ends the run for observers: sends the last figures and the reason, and the last weights to observers that requested
   * them. Observers stay connected, and new ones are admitted, until close().
   */
  finish(reason: string): void {
    if (this.#finishReason !== null) return;
    this.#sendProgress(true);
    this.#finishReason = reason;
    this.#observers.broadcast({ type: 'finished', reason });
    const weights = this.#lastStep?.weights;
    if (weights !== undefined) this.#observers.sendFinalWeights(() => encodeWeights(weights));
  }

  /** @param reason of the end, unless finish() was called before */
  close(reason: string): void {
    this.finish(reason);
    this.#cancelTick();
    this.#observers.close(reason);
  }

  #tick(): void {
    const { clock } = this.#options;
    this.#cancelTick = clock.after(PROGRESS_INTERVAL_MS, () => this.#tick());
    // After its last step, an epoch is evaluated on the test data.
    const isTraining = this.#epochProgress?.step !== this.#stepsPerEpoch;
    this.#activity.recordProgress(this.#options.pool.workers.values(), clock.now(), isTraining);
    if (this.#observers.count === 0) {
      // The next observer is sent the whole curve.
      this.#newPoints = [];
      return;
    }
    this.#observers.checkLiveness();
    if (this.#finishReason === null) this.#sendProgress(this.#areRowsDue());
    const weights = this.#lastStep?.weights;
    if (weights === undefined) return;
    if (clock.now() - this.#weightsSentMs < WEIGHTS_INTERVAL_MS) return;
    this.#observers.sendWeights(() => {
      this.#weightsSentMs = clock.now();
      return encodeWeights(weights);
    });
  }

  /** Further initial messages to an observer of a finished run. */
  #finishedMessages(): FromCoordinator[] {
    const reason = this.#finishReason;
    return reason === null ? [] : [this.#progressMessage(true), { type: 'finished', reason }];
  }

  #sendProgress(hasRows: boolean): void {
    this.#observers.broadcast(this.#progressMessage(hasRows));
    this.#newPoints = [];
    if (!hasRows) return;
    this.#rowsSentMs = this.#options.clock.now();
    this.#isTimelineSent = true;
  }

  /** Whether the next message has the rows of workers. Those of many workers are sent less often. */
  #areRowsDue(): boolean {
    const { clock, pool } = this.#options;
    const intervalMs = Math.min(pool.workers.size * ROW_INTERVAL_MS, MAX_ROWS_INTERVAL_MS);
    return clock.now() - this.#rowsSentMs >= intervalMs;
  }

  #runMessage(isSameMachine: boolean): RunMessage {
    const curve = [...this.#curve.points];
    const { job } = this.#options;
    const epochs = this.#epochs;
    const addresses = isSameMachine ? [...(this.#options.addresses?.() ?? [])] : [];
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

  #progressMessage(hasRows: boolean): ProgressMessage {
    const { clock, pool } = this.#options;
    const workers = [...pool.workers.values()];
    const progress = this.#epochProgress;
    const advice = this.#options.advice?.() ?? null;
    const notices = [...(this.#options.notices?.() ?? [])];
    const slowest = findSlowest(workers);
    const rows = workers.filter(({ id }, i) => i < MAX_ROWS || id === slowest?.id);
    const elapsed = (clock.now() - this.#epochStartedMs) / 1000;
    return {
      type: 'progress',
      epoch: this.#epoch,
      step: progress?.step ?? 0,
      loss: progress?.loss ?? null,
      metrics: progress?.metrics ?? {},
      samplesPerSecond: progress?.samplesPerSecond ?? 0,
      etaSeconds: progress === null ? null : remainingSeconds(progress, elapsed),
      curve: this.#newPoints,
      ...(hasRows ? { workers: rows.map((worker) => workerRow(worker, this.#activity.get(worker))) } : {}),
      ...(rows.length === workers.length ? {} : { workerCount: workers.length }),
      slowest,
      ...(hasRows && this.#timeline !== null ? { timeline: this.#timeline } : {}),
      ...(advice === null ? {} : { advice }),
      ...(notices.length === 0 ? {} : { notices }),
    };
  }
}

function encodeWeights({ step, source }: StepReport['weights']): Uint8Array {
  const values = source.averagedWeights;
  const message: FromCoordinator = { type: 'weights', step, offset: 0 };
  const { bytes, payload } = openFrame(message, float32.bytes(values.length));
  float32.encode(values, payload);
  return bytes;
}

/** Times of a worker that has answered too few training shards. */
const NO_SHARD = { computeMs: 0, turnaroundMs: 0 };

function workerRow(worker: Worker, { share, samplesPerSecond }: RecentActivity): WorkerRow {
  const { id, name, machine, engine, stats, link, isStandby } = worker;
  const { samples, rttMs, bytesUp, bytesDown } = stats;
  const { computeMs, turnaroundMs } = link.meter.shard ?? NO_SHARD;
  return {
    id,
    name,
    ...(machine === undefined ? {} : { machine }),
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

/**
 * Timeline of a step that has just ended.
 * @param stepOfRun number for people, from 1
 * @param step number of the step in its shards
 * @returns null if no worker has measured it, as after a restart
 */
function traceStep(
  stepOfRun: number,
  step: number,
  workers: Iterable<Worker>,
  nowMs: number,
): StepTimeline | null {
  const timings = [...workers].flatMap(({ id, link }) =>
    link.meter.timings.filter((timing) => timing.step === step).map((timing) => ({ id, ...timing })),
  );
  const startMs = Math.min(...timings.map(({ assignedMs }) => assignedMs));
  const shards = timings
    .map(({ id, samples, assignedMs, answer }) => ({
      id,
      samples,
      startMs: assignedMs - startMs,
      computeMs: answer?.computeMs ?? 0,
      receiveMs: answer?.receiveMs ?? 0,
      endMs: answer === null ? null : answer.atMs - startMs,
    }))
    .sort((a, b) => (b.endMs ?? Infinity) - (a.endMs ?? Infinity));
  if (shards.length === 0) return null;
  return {
    step: stepOfRun,
    durationMs: nowMs - startMs,
    shards: shards.slice(0, MAX_TIMELINE_SHARDS),
    omitted: Math.max(0, shards.length - MAX_TIMELINE_SHARDS),
  };
}

/** The slowest worker, and whether its computation or its link takes longer. */
function findSlowest(workers: readonly Worker[]): ProgressMessage['slowest'] {
  const [slowest] = workers
    .flatMap(({ id, link: { meter }, isStandby }) =>
      meter.shard === null || isStandby ? [] : [{ id, ...meter.shard }],
    )
    .sort((a, b) => b.turnaroundMs - a.turnaroundMs);
  if (slowest === undefined) return null;
  const { id, computeMs, turnaroundMs } = slowest;
  return { id, cause: computeMs * 2 >= turnaroundMs ? 'compute' : 'link' };
}

import type { Clock } from '../../shared/util/clock.ts';
import { CODECS } from '../../shared/codec/registry.ts';
import { FACTORS } from '../../shared/codec/factors.ts';
import { keptBytes, KeptSamples } from '../../shared/data/kept-samples.ts';
import type { Job } from '../../shared/model/job.ts';
import { closeReason, CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import {
  PROTOCOL_VERSION,
  type EngineInfo,
  type FromCoordinator,
  type Hello,
  type Ready,
  type ShardAnswer,
  type ShardId,
  type Step,
  type WorkerId,
} from '../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../shared/protocol/frame.ts';
import { verifyChecksum, withChecksums } from '../../shared/protocol/checksum.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import { BlockRateLimiter } from '../server/limits/block-rate-limiter.ts';
import { joinLimitsFor } from '../server/limits/connection-limits.ts';
import { SMALL_BYTES } from '../server/limits/receive-budget.ts';
import { LinkProbe } from '../links/link-probe.ts';
import { admit, checkToken, type AdmissionRules, slotToFree } from './admission.ts';
import { type ConnectionHandler, HEADER_BYTES_PER_UNIT } from '../server/websocket.ts';
import { Handshake, frameTooLargeError } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { createWorker, type Worker } from './worker.ts';
import { instanceKey, WorkerNames } from './worker-identity.ts';
import { codecsInUse, FLOAT32_LINK, type CodecRule } from '../links/codecs.ts';
import type { CodeBundle } from '../../shared/model/custom-code.ts';
import { Scoring } from '../../shared/model/scoring.ts';

/** Receiver of the pool's events; it implements the ones that it needs. */
export interface PoolListener {
  joined?(worker: Worker): void;
  /** @param code close code of a dropped worker; none if the worker closed the connection */
  left?(worker: Worker, reason: string, code?: CloseCode): void;
  /** A worker has lost samples that it kept: the shard has to be sent with its samples. */
  samplesMissing?(worker: Worker, shard: ShardId): void;
  answered?(worker: Worker, message: ShardAnswer, payload: Uint8Array): void;
  /** A worker could not compute a shard; its answer follows. */
  shardFailed?(worker: Worker): void;
  refused?(reason: string): void;
  /** No shard is computed any more. @param error why a round in progress ends */
  finished?(error: Error): void;
  /** @param reason why steps are faster without the worker; null if it is active again */
  standbyChanged?(worker: Worker, reason: string | null): void;
  codecChanged?(worker: Worker, reason: string): void;
}

/** Comparison of the workers' engine fingerprints, which decides which engines may take part. */
export interface FingerprintCheck {
  /** @throws ProtocolError with the reason for the worker if its engine may not take part */
  check(worker: WorkerId, engine: EngineInfo, fingerprint: string | undefined): void;
  remove(worker: WorkerId): void;
  /** Decides which engines may take part. @returns workers to drop, each with the reason */
  decide(): ReadonlyMap<WorkerId, ProtocolError>;
}

export interface PoolOptions {
  readonly job: Job;
  readonly rules: AdmissionRules;
  readonly clock: Clock;
  /** Size of the largest frame that a worker may send. */
  readonly maxFrameBytes: number;
  /** Offsets where buckets begin, and whether frames have checksums; see RunMode. */
  readonly mode: { readonly bucketOffsets: readonly number[]; readonly hasChecksums: boolean };
  /** Compares the fingerprints of the engines that join. @default null: any engine may take part */
  readonly fingerprints?: FingerprintCheck | null;
  /** Whether vectors of a connection are split into buckets. @default connections to other machines */
  readonly usesBuckets?: (connection: Connection) => boolean;
  /** Whether the codecs of a connection may change during the run if the rule is auto. @default connections to other machines */
  readonly switchesCodecs?: (connection: Connection) => boolean;
  /**
   * Accepts an observer.
   * @throws ProtocolError with the reason for the observer
   */
  readonly acceptObserver: (connection: Connection) => ConnectionHandler;
  /** Custom code of the job, for workers that trust it. @default none */
  readonly customCode?: Pick<CodeBundle, 'code' | 'bytes'> | undefined;
  /** Whether workers wait for another run after the end. @default false: they end */
  readonly awaitsNextRun?: boolean | undefined;
  /** Time between two pings. @default 5000 */
  readonly heartbeatMs?: number;
  /** Time after which a silent worker is dropped. @default 60000 */
  readonly silenceTimeoutMs?: number;
}

const DEFAULT_HEARTBEAT_MS = 5_000;
const DEFAULT_SILENCE_TIMEOUT_MS = 60_000;
const MAX_STRIKES = 3;
/** Number of accepted answers that remove one strike. */
const ANSWERS_PER_FORGIVEN_STRIKE = 100;
/** Bytes that may wait to be sent, in addition to one vector of weights. */
const MAX_BACKLOG_BYTES = 1 << 20;
/** A float64 of msgpack. */
const SUM_BYTES = 9;

/** Reason for workers that wait between two runs. */
const AWAITS_NEXT_RUN = 'The run is over, and the next one has not begun yet.';

/** On the same machine there is no transfer to overlap, and buckets and codecs cost CPU time. */
const isOnAnotherMachine = ({ isSameMachine }: Connection): boolean => isSameMachine !== true;

/** Workers of a run. Admits workers, receives their messages, and drops silent ones. */
export class WorkerPool {
  /** Workers that are ready for shards, in the order in which they became ready. */
  readonly workers = new Map<WorkerId, Worker>();
  /** Workers that are still building the model. */
  readonly #preparing = new Map<WorkerId, Worker>();
  readonly #names = new WorkerNames();
  readonly #options: PoolOptions;
  readonly #listeners = new Set<PoolListener>();
  readonly #handshake: Handshake;
  readonly #joins: BlockRateLimiter;
  readonly #heartbeatMs: number;
  /** Cost of a result with many sums, in messages of the budget. */
  readonly #resultCost: number;
  /** Time for which a worker may be silent, if that is longer than the default. */
  #extendedSilenceMs = 0;
  readonly #heartbeat: Heartbeat;
  readonly #probes = new WeakMap<Worker, LinkProbe>();
  /** Reason why the run is over, and the error of rounds that it ends; null while it is not. */
  #finished: { readonly reason: string; readonly error: Error; readonly isForNextRun: boolean } | null = null;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#resultCost = Math.floor((new Scoring(options.job).sums * SUM_BYTES) / HEADER_BYTES_PER_UNIT);
    this.#handshake = new Handshake(options.clock);
    this.#joins = new BlockRateLimiter(options.clock, joinLimitsFor(options.rules.maxWorkers).joins);
    this.#heartbeatMs = options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS;
    const { silenceTimeoutMs = DEFAULT_SILENCE_TIMEOUT_MS } = options;
    this.#heartbeat = new Heartbeat({
      clock: options.clock,
      intervalMs: this.#heartbeatMs,
      silenceTimeoutMs: () => Math.max(silenceTimeoutMs, this.#extendedSilenceMs),
      allWorkers: () => this.#allWorkers(),
      isPreparing: ({ id }) => this.#preparing.has(id),
      isBackpressured: (worker) => this.isBackpressured(worker),
      ping: (worker, id) => this.send(worker, { type: 'ping', id }),
      drop: (worker, code, reason) => this.drop(worker, code, reason),
    });
  }

  /** Codecs for workers that support them, or auto. */
  get codecs(): CodecRule {
    return this.#options.rules.codecs ?? FLOAT32_LINK;
  }

  /** Codecs in use, in the format of history.jsonl: 'int4/int8', or 'float32/float32 2, int8/int8 1'. */
  get codecsInUse(): string {
    return codecsInUse(
      [...this.workers.values()].map(({ link }) => link),
      this.codecs,
    );
  }

  /** @returns function that ends the subscription */
  subscribe(listener: PoolListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Accepts a new connection. The client has to send a hello before the handshake's deadline.
   * @param onAccepted called with the receiver of the client's further frames, in place of the returned one
   */
  connect(connection: Connection, onAccepted: (receiver: ConnectionHandler) => void): ConnectionHandler {
    return this.#handshake.accept(connection, {
      acceptWorker: (hello) =>
        this.#finished === null
          ? this.#handle(hello, connection)
          : this.#rejectAfterFinish(hello, connection, this.#finished),
      acceptObserver: (message) => {
        checkToken(message.token, this.#options.rules);
        return this.#options.acceptObserver(connection);
      },
      onAccepted,
      onRefused: (reason) => this.#emit((listener) => listener.refused?.(reason)),
    });
  }

  #handle(hello: Hello, connection: Connection): ConnectionHandler {
    const worker = this.#acceptWorker(hello, connection);
    const maxBytes = (): number => this.#maxBytesFor(worker);
    return {
      onFrame: (bytes) => this.#onFrame(worker, bytes),
      answersPerFrame: worker.link.bucketOffsets.length + this.#resultCost,
      get maxMessageBytes() {
        return maxBytes();
      },
      onClose: (code, reason) => this.#remove(worker, reason === '' ? `connection closed (${code})` : reason),
    };
  }

  send(worker: Worker, message: FromCoordinator): void {
    worker.connection.send(frameFromCoordinator(message));
  }

  /** Closes a worker's connection with the reason. */
  drop(worker: Worker, code: CloseCode, reason: string): void {
    worker.connection.close(code, closeReason(reason));
    this.#remove(worker, reason, code);
  }

  /** Rejects an answer. A worker with several rejected answers is dropped. */
  reject(worker: Worker, answer: { step: Step; shard: ShardId }, error: ProtocolError): void {
    worker.health.strikes++;
    const { step, shard } = answer;
    this.send(worker, {
      type: 'rejected',
      step,
      shard,
      code: error.code,
      reason: error.message.slice(0, 500),
    });
    if (worker.health.strikes >= MAX_STRIKES) this.drop(worker, error.code, error.message);
  }

  /** Called before each round. The first call of an exact run decides which engines may take part, and drops the others. */
  lockFingerprint(): void {
    for (const [id, { code, message }] of this.#options.fingerprints?.decide() ?? []) {
      const worker = this.workers.get(id);
      if (worker !== undefined) this.drop(worker, code, message);
    }
  }

  /** Counts an accepted answer. */
  recordAccepted(worker: Worker): void {
    worker.health.acceptedAnswers++;
    if (worker.health.acceptedAnswers % ANSWERS_PER_FORGIVEN_STRIKE === 0 && worker.health.strikes > 0)
      worker.health.strikes--;
  }

  /** Whether too many bytes wait to be sent, since the worker does not read them or its link is too slow. */
  isBackpressured({ connection }: Worker): boolean {
    return connection.bufferedBytes > this.#options.maxFrameBytes + MAX_BACKLOG_BYTES;
  }

  /** Puts a worker on standby, or makes it active again. @param reason why it is on standby; null if it is active */
  setStandby(worker: Worker, reason: string | null): void {
    worker.isStandby = reason !== null;
    if (worker.supportsStandby) {
      this.send(worker, {
        type: 'standby',
        standby: worker.isStandby,
        reason: reason ?? 'Steps are faster with it.',
      });
    }
    this.#emit((listener) => listener.standbyChanged?.(worker, reason));
  }

  /** Reports that a worker's codecs have changed. */
  emitCodecChanged(worker: Worker, reason: string): void {
    this.#emit((listener) => listener.codecChanged?.(worker, reason));
  }

  /** Extends the time after which a silent worker is dropped, for shards that take long. Never shortens the default. */
  extendSilenceTimeout(ms: number): void {
    this.#extendedSilenceMs = ms;
  }

  /** Error with which rounds end since the run is over; null while it is not. */
  get end(): Error | null {
    return this.#finished?.error ?? null;
  }

  /**
   * Ends the run: sends `finished` to all workers, also to those that join later, and closes their connections. If another run may
   * follow, connected workers stay and wait.
   * @param error why a round in progress ends
   * @param isForNextRun whether workers are to reconnect for the run that follows, which another process may serve
   */
  finish(reason: string, error = new Error(reason), isForNextRun = false): void {
    if (this.#finished !== null) return;
    this.#finished = { reason, error, isForNextRun };
    this.#emit((listener) => listener.finished?.(error));
    if (this.#options.awaitsNextRun !== true || isForNextRun) {
      this.#dismiss(reason, isForNextRun);
      return;
    }
    for (const worker of this.#allWorkers().filter(({ supportsStandby }) => supportsStandby))
      this.send(worker, { type: 'standby', standby: true, reason: AWAITS_NEXT_RUN });
  }

  /**
   * Closes all connections.
   * @param reason sent to workers that have not been sent another one
   * @param isForNextRun whether workers are to join the run that follows
   */
  close(reason: string, isForNextRun = false): void {
    this.finish(reason, undefined, isForNextRun);
    this.#dismiss(reason, isForNextRun);
    this.#handshake.close(reason);
  }

  #dismiss(reason: string, isForNextRun = false): void {
    this.#heartbeat.stop();
    for (const worker of this.#allWorkers()) {
      if (!isForNextRun) this.send(worker, { type: 'finished', reason });
      this.drop(worker, isForNextRun ? CloseCode.noRun : CloseCode.normal, reason);
    }
  }

  /** Sends `finished` to a worker that joins after the end of the last run. @throws ProtocolError (unauthorized, noRun) */
  #rejectAfterFinish(
    hello: Hello,
    connection: Connection,
    { reason, isForNextRun }: { readonly reason: string; readonly isForNextRun: boolean },
  ): ConnectionHandler {
    checkToken(hello.token, this.#options.rules);
    if (isForNextRun) throw new ProtocolError(CloseCode.noRun, reason);
    if (this.#options.awaitsNextRun === true)
      throw new ProtocolError(CloseCode.noRun, 'The next run has not begun yet.');
    connection.send(frameFromCoordinator({ type: 'finished', reason }));
    connection.close(CloseCode.normal, closeReason(reason));
    return { onFrame: () => undefined, onClose: () => undefined };
  }

  #acceptWorker(hello: Hello, connection: Connection): Worker {
    const { clock, rules, mode, usesBuckets = isOnAnotherMachine } = this.#options;
    const networkBlock = connection.addressBlock ?? '';
    checkToken(hello.token, rules);
    const key = instanceKey(hello.instance);
    const previous = this.#allWorkers().find(({ instance }) => instance !== null && instance === key);
    if (!this.#joins.spend(networkBlock)) {
      throw new ProtocolError(
        CloseCode.noFreeSlot,
        'Too many workers join at the same time. Retry in a few seconds.',
      );
    }
    if (previous === undefined) this.#freeSlot(networkBlock);
    const usedSlots = this.workers.size + this.#preparing.size - (previous === undefined ? 0 : 1);
    const codecs = admit(hello, rules, usedSlots);
    if (previous !== undefined) this.drop(previous, CloseCode.timeout, 'The worker has reconnected.');
    const name = this.#names.take(hello.name);
    const switchableCodecs = codecs.up === FACTORS ? [FACTORS] : this.#switchableCodecsFor(hello, connection);
    const probe = new LinkProbe({
      clock,
      ping: () => {
        const id = this.#heartbeat.nextPingId();
        this.send(worker, { type: 'ping', id });
        return id;
      },
      onMeasured: (deliveries) => worker.link.meter.recordDownload(deliveries),
    });
    const worker: Worker = createWorker(hello, mode.hasChecksums ? withChecksums(connection) : connection, {
      name,
      nowMs: clock.now(),
      codecs,
      switchableCodecs,
      bucketOffsets: usesBuckets(connection) ? mode.bucketOffsets : [0],
      onSent: (bytes, more) => {
        if (switchableCodecs.length > 0 && this.workers.has(worker.id)) probe.recordSent(bytes, more);
      },
    });
    this.#probes.set(worker, probe);
    this.#preparing.set(worker.id, worker);
    // Not over worker.connection, since a welcome has no checksum: the worker learns from it that the run is exact.
    const { customCode } = this.#options;
    const isTrusted = customCode !== undefined && hello.trusts?.includes(customCode.code.hash) === true;
    const welcome = frameFromCoordinator(this.#welcome(worker), isTrusted ? customCode.bytes : undefined);
    connection.send(welcome);
    worker.stats.bytesDown += welcome.length;
    return worker;
  }

  #welcome({ id, link }: Worker): FromCoordinator {
    const usesUpdates =
      link.updateCodec !== null || (this.codecs === 'auto' && link.switchableCodecs.length > 0);
    return {
      type: 'welcome',
      protocol: PROTOCOL_VERSION,
      workerId: id,
      codec: link.initialCodec.name,
      ...(link.updateCodec === null ? {} : { updateCodec: link.updateCodec }),
      ...(usesUpdates ? {} : { updates: false }),
      heartbeatMs: this.#heartbeatMs,
      maxFrameBytes: this.#options.maxFrameBytes,
      bucketOffsets: [...link.bucketOffsets],
      job: this.#options.job,
    };
  }

  /** If all slots are taken, drops a worker that does not use its slot. */
  #freeSlot(block: string): void {
    const { clock, rules } = this.#options;
    const all = this.#allWorkers();
    if (all.length < rules.maxWorkers) return;
    const slots = all.map((worker) => ({
      worker,
      networkBlock: worker.networkBlock,
      sinceMs: worker.joinedAtMs,
      ready: this.workers.has(worker.id),
      hasComputed: worker.health.acceptedAnswers > 0,
    }));
    const slot = slotToFree(slots, block, clock.now());
    if (slot === null) return;
    this.drop(
      slot.worker,
      CloseCode.noFreeSlot,
      'Another worker needs this slot, and this worker has not computed anything.',
    );
  }

  /** Size limit for the next message of a worker. Only answers to shards are large. */
  #maxBytesFor({ outstanding }: Worker): number {
    const { maxFrameBytes } = this.#options;
    return outstanding.size > 0 ? maxFrameBytes : Math.min(SMALL_BYTES, maxFrameBytes);
  }

  /** Codecs that the coordinator may request from the worker during the run. */
  #switchableCodecsFor(hello: Hello, connection: Connection): string[] {
    const { switchesCodecs = isOnAnotherMachine } = this.#options;
    if (this.codecs !== 'auto' || hello.switchCodecs !== true || !switchesCodecs(connection)) return [];
    return [...CODECS.map(({ name }) => name), FACTORS].filter((name) => hello.codecs.includes(name));
  }

  #onFrame(worker: Worker, bytes: Uint8Array): void {
    if (!this.workers.has(worker.id) && !this.#preparing.has(worker.id)) return;
    worker.health.lastMessageMs = this.#options.clock.now();
    worker.stats.bytesUp += bytes.length;
    const { receiveTiming } = worker.connection;
    if (receiveTiming !== undefined) worker.link.meter.recordUpload(receiveTiming.bytes, receiveTiming.ms);
    try {
      const maxBytes = this.#maxBytesFor(worker);
      if (bytes.length > maxBytes) throw frameTooLargeError(bytes.length, maxBytes);
      this.#onMessage(worker, this.#options.mode.hasChecksums ? this.#verify(worker, bytes) : bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.drop(worker, error.code, error.message);
    }
  }

  /** @returns the frame without its checksum. @throws ProtocolError (checksumMismatch) */
  #verify(worker: Worker, bytes: Uint8Array): Uint8Array {
    try {
      return verifyChecksum(bytes);
    } catch (error) {
      // A worker that leaves before the welcome arrives does not know yet that frames have checksums.
      if (this.#preparing.has(worker.id) && isLeaving(bytes)) return bytes;
      throw error;
    }
  }

  #onMessage(worker: Worker, frame: Uint8Array): void {
    const { message, payload } = parseFromWorker(frame);
    switch (message.type) {
      case 'hello':
      case 'watch':
      case 'snapshot':
      case 'inspect':
        throw new ProtocolError(CloseCode.unexpected, `A ${message.type} after the welcome.`);
      case 'ready':
        if (!this.#preparing.has(worker.id))
          throw new ProtocolError(CloseCode.unexpected, 'A ready after the first one.');
        this.#options.fingerprints?.check(worker.id, worker.engine, message.fingerprint);
        worker.keptSamples = this.#keptSamples(message, payload);
        this.#preparing.delete(worker.id);
        this.workers.set(worker.id, worker);
        if (worker.link.switchableCodecs.length > 0) this.#probes.get(worker)?.start();
        this.#emit((listener) => listener.joined?.(worker));
        return;
      case 'pong': {
        if (this.#probes.get(worker)?.onPong(message.id) === true) return;
        const rttMs = this.#heartbeat.roundTripMs(message.id);
        if (rttMs === null) return;
        worker.stats.rttMs = rttMs;
        worker.link.meter.recordDownload([{ bytes: 0, elapsedMs: rttMs }]);
        return;
      }
      case 'leaving':
        this.drop(worker, CloseCode.normal, message.reason);
        return;
      case 'missing':
        if (!worker.outstanding.isPartial(message.shard)) {
          throw new ProtocolError(
            CloseCode.unexpected,
            `Samples of shard ${message.shard} are missing, but all of them were sent.`,
          );
        }
        // Other shards without their samples may be on the way.
        worker.keptSamples = null;
        this.#emit((listener) => listener.samplesMissing?.(worker, message.shard));
        return;
      case 'gradient':
      case 'evaluation':
      case 'failed':
        if (!this.workers.has(worker.id)) {
          throw new ProtocolError(CloseCode.unexpected, `A message of type ${message.type} before ready.`);
        }
        if (message.type === 'failed') this.#emit((listener) => listener.shardFailed?.(worker));
        this.#emit((listener) => listener.answered?.(worker, message, payload));
        if (message.type === 'failed' || message.result !== undefined)
          worker.outstanding.delete(message.shard);
    }
  }

  /** @returns null if the worker keeps no samples. @throws ProtocolError (malformed) if its bitmaps have another length */
  #keptSamples({ keeps }: Ready, bitmaps: Uint8Array): KeptSamples | null {
    const { trainSamples: train, testSamples: evaluate, digest } = this.#options.job.data;
    if (keeps === undefined || digest === undefined) return null;
    const counts = { train, evaluate };
    if (bitmaps.length === 0) return new KeptSamples(counts, keeps);
    if (bitmaps.length !== keptBytes(counts)) {
      throw new ProtocolError(
        CloseCode.malformed,
        `The bitmaps of kept samples have ${keptBytes(counts)} bytes; these have ${bitmaps.length}.`,
      );
    }
    return new KeptSamples(counts, keeps, bitmaps);
  }

  #remove(worker: Worker, reason: string, code?: CloseCode): void {
    const wasPreparing = this.#preparing.delete(worker.id);
    const wasReady = this.workers.delete(worker.id);
    if (wasPreparing || wasReady) this.#names.free(worker.name);
    if (wasPreparing)
      this.#emit((listener) => listener.refused?.(`${worker.name} left before it was ready: ${reason}`));
    this.#options.fingerprints?.remove(worker.id);
    if (!wasReady) return;
    this.#emit((listener) => listener.left?.(worker, reason, code));
  }

  /** Calls an event of all listeners, including listeners that subscribe meanwhile. */
  #emit(call: (listener: PoolListener) => void): void {
    this.#listeners.forEach(call);
  }

  #allWorkers(): Worker[] {
    return [...this.workers.values(), ...this.#preparing.values()];
  }
}

function isLeaving(frame: Uint8Array): boolean {
  try {
    return parseFromWorker(frame).message.type === 'leaving';
  } catch {
    return false;
  }
}

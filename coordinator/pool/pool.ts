import type { Clock } from '../../shared/util/clock.ts';
import { CODECS } from '../../shared/codec/registry.ts';
import { FACTORS } from '../../shared/codec/factors.ts';
import type { Job } from '../../shared/model/job.ts';
import { closeReason, CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import {
  PROTOCOL_VERSION,
  type FromCoordinator,
  type Hello,
  type ShardId,
  type Step,
  type WorkerId,
} from '../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../shared/protocol/parse.ts';
import { ChecksumVerifier, withChecksums } from '../../shared/protocol/checksum.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import { BlockRateLimiter } from '../server/limits/block-rate-limiter.ts';
import { SMALL_BYTES } from '../server/limits/receive-budget.ts';
import { LinkProbe } from '../links/link-probe.ts';
import { admit, checkToken, type AdmissionRules, slotToFree } from './admission.ts';
import { Handshake, frameTooLargeError, type ConnectionHandler } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { instanceKey, type Worker, createWorker, workerName } from './worker.ts';
import type { EngineFingerprints } from '../exact/fingerprints.ts';
import { codecsInUse, FLOAT32_LINK, type CodecRule } from '../links/codecs.ts';
import { PoolEvents, type PoolListener } from './events.ts';

export interface PoolOptions {
  readonly job: Job;
  readonly rules: AdmissionRules;
  readonly clock: Clock;
  /** The largest frame that a worker has reason to send. */
  readonly maxFrameBytes: number;
  /** Where the pieces of weights' and gradients' tails start, for workers that take them; empty if there are none. */
  readonly bucketOffsets: readonly number[];
  /** Whom tails are worth while with; by default those on other machines. */
  readonly usesBuckets?: (connection: Connection) => boolean;
  /** Whose codecs are chosen as the run goes, where that is the rule; by default those on other machines. */
  readonly switchesCodecs?: (connection: Connection) => boolean;
  /**
   * Takes in somebody who only looks on.
   * @throws ProtocolError with what they are told instead
   */
  readonly acceptObserver: (connection: Connection) => ConnectionHandler;
  /** Compares the bits of the engines that come; null where they do not matter. */
  readonly engineFingerprints?: EngineFingerprints | null;
  readonly heartbeatMs?: number;
  /** A worker that has said nothing for this long is gone. */
  readonly silenceTimeoutMs?: number;
}

const DEFAULT_HEARTBEAT_MS = 5_000;
const DEFAULT_SILENCE_TIMEOUT_MS = 60_000;
const MAX_STRIKES = 3;
/** So many good answers make up for a bad one. */
const ANSWERS_PER_FORGIVEN_STRIKE = 100;
/** That much more than the weights may wait to be sent. */
const MAX_BACKLOG_BYTES = 1 << 20;
/** Workers that may join: after a break of the network all of them come back together. */
const JOIN_LIMITS = { perBlock: { burst: 250, perSecond: 50 }, total: { burst: 500, perSecond: 100 } };

/** Within one machine there is no transfer to hide, and the cores have enough to do. */
const isOnAnotherMachine = ({ isSameMachine }: Connection): boolean => isSameMachine !== true;

/** Everybody who may compute: lets workers in, hears them, and notices when they are gone. */
export class WorkerPool {
  /** Those who are ready for shards, in the order in which they became so. */
  readonly workers = new Map<WorkerId, Worker>();
  /** Those who are still building the model. */
  readonly #preparing = new Map<WorkerId, Worker>();
  readonly #options: PoolOptions;
  readonly #events = new PoolEvents();
  readonly #handshake: Handshake;
  readonly #joins: BlockRateLimiter;
  readonly #heartbeatMs: number;
  readonly #heartbeat: Heartbeat;
  readonly #probes = new WeakMap<Worker, LinkProbe>();
  /** Why the work is over; null while it is not. */
  #finished: string | null = null;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#handshake = new Handshake(options.clock);
    this.#joins = new BlockRateLimiter(options.clock, JOIN_LIMITS);
    this.#heartbeatMs = options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS;
    this.#heartbeat = new Heartbeat({
      clock: options.clock,
      intervalMs: this.#heartbeatMs,
      silenceTimeoutMs: options.silenceTimeoutMs ?? DEFAULT_SILENCE_TIMEOUT_MS,
      maxBufferedBytes: options.maxFrameBytes + MAX_BACKLOG_BYTES,
      allWorkers: () => this.#allWorkers(),
      isPreparing: ({ id }) => this.#preparing.has(id),
      ping: (member, id) => this.send(member, { type: 'ping', id }),
      drop: (member, code, reason) => this.drop(member, code, reason),
    });
  }

  /** How vectors travel to and from workers that know these codecs. */
  get codecs(): CodecRule {
    return this.#options.rules.codecs ?? FLOAT32_LINK;
  }

  /** How vectors travel now, as history.jsonl has it: 'int4/int8', or 'float32/float32 2, int8/int8 1'. */
  get codecsInUse(): string {
    return codecsInUse(this.workers.values(), this.codecs);
  }

  /** @returns what ends the listening */
  subscribe(listener: PoolListener): () => void {
    return this.#events.add(listener);
  }

  /** Takes a new connection in; it has to say hello before long. */
  connect(connection: Connection): ConnectionHandler {
    const mostBytesOf = (member: Worker): number => this.#maxBytesFor(member);
    return this.#handshake.accept(connection, {
      acceptWorker: (hello) => {
        if (this.#finished !== null) return this.#rejectAfterFinish(hello, connection, this.#finished);
        const sealable = withChecksums(connection);
        const member = this.#acceptWorker(hello, sealable);
        const seals = new ChecksumVerifier();
        if (this.#options.job.microShard !== undefined) {
          sealable.enableChecksums();
          seals.enable();
        }
        return {
          onFrame: (bytes) => this.#onFrame(member, seals, bytes),
          answersPerFrame: 1 + (member.supportsBuckets ? this.#options.bucketOffsets.length : 0),
          get heldBytes() {
            return seals.pendingBytes;
          },
          get maxMessageBytes() {
            return mostBytesOf(member);
          },
          onClose: (code, reason) =>
            this.#remove(member, reason === '' ? `connection closed (${code})` : reason),
        };
      },
      acceptObserver: (message) => {
        checkToken(message.token, this.#options.rules);
        return this.#options.acceptObserver(connection);
      },
      onRefused: (reason) => this.#events.emit((listener) => listener.refused?.(reason)),
    });
  }

  send(member: Worker, message: FromCoordinator): void {
    member.connection.send(frameFromCoordinator(message));
  }

  /** Ends a membership for a reason that the worker is told. */
  drop(member: Worker, code: CloseCode, reason: string): void {
    member.connection.close(code, closeReason(reason));
    this.#remove(member, reason, code);
  }

  /** Tells a worker that its answer does not count; after a few of those it has to go. */
  reject(member: Worker, answer: { step: Step; shard: ShardId }, error: ProtocolError): void {
    member.strikes++;
    const { step, shard } = answer;
    this.send(member, {
      type: 'rejected',
      step,
      shard,
      code: error.code,
      reason: error.message.slice(0, 500),
    });
    if (member.strikes >= MAX_STRIKES) this.drop(member, error.code, error.message);
  }

  /** A round begins. In an exact run the first one decides which engines may take part; others are dropped. */
  lockFingerprint(): void {
    for (const [worker, { code, message }] of this.#options.engineFingerprints?.decide() ?? []) {
      const member = this.workers.get(worker);
      if (member !== undefined) this.drop(member, code, message);
    }
  }

  /** An answer counts. */
  recordAccepted(member: Worker): void {
    member.acceptedAnswers++;
    if (member.acceptedAnswers % ANSWERS_PER_FORGIVEN_STRIKE === 0 && member.strikes > 0) member.strikes--;
  }

  /** Whether what a worker was sent piles up, since it does not read it or the link is too slow. */
  isBackpressured(member: Worker): boolean {
    return this.#heartbeat.isBackpressured(member);
  }

  /** @param reason why steps do without this worker; null if they do not any more */
  setStandby(member: Worker, reason: string | null): void {
    member.isStandby = reason !== null;
    if (member.supportsStandby) {
      this.send(member, {
        type: 'reserve',
        waiting: member.isStandby,
        reason: reason ?? 'Steps are faster with it.',
      });
    }
    this.#events.emit((listener) => listener.standbyChanged?.(member, reason));
  }

  /** Says that a worker's codecs have changed. */
  emitCodecChanged(member: Worker, reason: string): void {
    this.#events.emit((listener) => listener.codecChanged?.(member, reason));
  }

  /** Workers that take long are given longer before their silence counts. */
  extendSilenceTimeout(ms: number): void {
    this.#heartbeat.extendSilenceTimeout(ms);
  }

  /** The work is over: all workers are told so and go, and whichever join later too. */
  finish(reason: string): void {
    if (this.#finished !== null) return;
    this.#finished = reason;
    this.#heartbeat.stop();
    for (const member of this.#allWorkers()) {
      this.send(member, { type: 'finished', reason });
      this.drop(member, CloseCode.normal, reason);
    }
  }

  /** @param reason of the end, unless finish() has said it */
  close(reason: string): void {
    this.finish(reason);
    this.#handshake.close(reason);
  }

  /** Says that the work is over to a worker that joins afterwards. @throws ProtocolError (unauthorized) */
  #rejectAfterFinish(hello: Hello, connection: Connection, reason: string): ConnectionHandler {
    checkToken(hello.token, this.#options.rules);
    connection.send(frameFromCoordinator({ type: 'finished', reason }));
    connection.close(CloseCode.normal, closeReason(reason));
    return { onFrame: () => undefined, onClose: () => undefined };
  }

  #acceptWorker(hello: Hello, connection: Connection): Worker {
    const { bucketOffsets, usesBuckets = isOnAnotherMachine } = this.#options;
    const { clock, rules } = this.#options;
    const block = connection.addressBlock ?? '';
    checkToken(hello.token, rules);
    const key = instanceKey(hello.instance);
    const old = this.#allWorkers().find(({ instance }) => instance !== null && instance === key);
    if (!this.#joins.spend(block)) {
      throw new ProtocolError(
        CloseCode.noFreeSlot,
        'Too many workers come at once; come back in some seconds.',
      );
    }
    if (old === undefined) this.#freeSlot(block);
    const taken = this.workers.size + this.#preparing.size - (old === undefined ? 0 : 1);
    const codecs = admit(hello, rules, taken);
    if (old !== undefined) this.drop(old, CloseCode.timeout, 'It has come back on another connection.');
    const name = workerName(
      hello.name,
      this.#allWorkers().map((member) => member.name),
    );
    const recodes = codecs.up === FACTORS ? [FACTORS] : this.#switchableCodecsFor(hello, connection);
    const probe = new LinkProbe({
      clock,
      ping: () => {
        const id = this.#heartbeat.nextPingId();
        this.send(member, { type: 'ping', id });
        return id;
      },
      onMeasured: (deliveries) => member.link.recordDownload(deliveries),
    });
    const member: Worker = createWorker(hello, codecs, connection, {
      name,
      nowMs: clock.now(),
      recodes,
      tails: bucketOffsets.length > 0 && usesBuckets(connection),
      sent: (bytes, more) => {
        if (recodes.length > 0 && this.workers.has(member.id)) probe.recordSent(bytes, more);
      },
    });
    const mayUpdate = member.updateCodec !== null || (this.codecs === 'auto' && recodes.length > 0);
    this.#probes.set(member, probe);
    this.#preparing.set(member.id, member);
    this.send(member, {
      type: 'welcome',
      protocol: PROTOCOL_VERSION,
      workerId: member.id,
      codec: member.initialCodecs.codec,
      ...(member.updateCodec === null ? {} : { updateCodec: member.updateCodec }),
      ...(mayUpdate ? {} : { updates: false }),
      heartbeatMs: this.#heartbeatMs,
      maxFrameBytes: this.#options.maxFrameBytes,
      ...(member.supportsBuckets ? { tailCuts: [...bucketOffsets] } : {}),
      job: this.#options.job,
    });
    return member;
  }

  /** If all places are taken, closes the connection of a worker that only holds its place. */
  #freeSlot(block: string): void {
    const { clock, rules } = this.#options;
    const all = this.#allWorkers();
    if (all.length < rules.maxWorkers) return;
    const places = all.map((member) => ({
      member,
      networkBlock: member.networkBlock,
      sinceMs: member.joinedAtMs,
      ready: this.workers.has(member.id),
      hasComputed: member.acceptedAnswers > 0,
    }));
    const place = slotToFree(places, block, clock.now());
    if (place === null) return;
    this.drop(place.member, CloseCode.noFreeSlot, 'Its place is needed, and it has not computed anything.');
  }

  /** Only an answer to a shard is large. */
  #maxBytesFor({ requestedEncodings }: Worker): number {
    const { maxFrameBytes } = this.#options;
    return requestedEncodings.size > 0 ? maxFrameBytes : Math.min(SMALL_BYTES, maxFrameBytes);
  }

  /** Codecs that this worker may be asked to use as the run goes. */
  #switchableCodecsFor(hello: Hello, connection: Connection): string[] {
    const { switchesCodecs = isOnAnotherMachine } = this.#options;
    if (this.codecs !== 'auto' || hello.recode !== true || !switchesCodecs(connection)) return [];
    return [...CODECS.map(({ name }) => name), FACTORS].filter((name) => hello.codecs.includes(name));
  }

  #onFrame(member: Worker, seals: ChecksumVerifier, bytes: Uint8Array): void {
    if (!this.workers.has(member.id) && !this.#preparing.has(member.id)) return;
    member.lastMessageMs = this.#options.clock.now();
    member.stats.bytesUp += bytes.length;
    const { receiveTiming } = member.connection;
    if (receiveTiming !== undefined) member.link.recordUpload(receiveTiming.bytes, receiveTiming.ms);
    try {
      const mostBytes = this.#maxBytesFor(member);
      if (bytes.length > mostBytes) throw frameTooLargeError(bytes.length, mostBytes);
      const frame = seals.verify(bytes);
      if (frame !== null) this.#onMessage(member, frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.drop(member, error.code, error.message);
    }
  }

  #onMessage(member: Worker, frame: Uint8Array): void {
    const { message, payload } = parseFromWorker(frame);
    switch (message.type) {
      case 'hello':
      case 'watch':
      case 'snapshot':
        throw new ProtocolError(CloseCode.unexpected, `A ${message.type} from a worker that was welcomed.`);
      case 'ready':
        if (!this.#preparing.has(member.id)) throw new ProtocolError(CloseCode.unexpected, 'A second ready.');
        this.#options.engineFingerprints?.check(member.id, member.engine, message.knownAnswer);
        this.#preparing.delete(member.id);
        this.workers.set(member.id, member);
        if (member.switchableCodecs.length > 0) this.#probes.get(member)?.start();
        this.#events.emit((listener) => listener.joined?.(member));
        return;
      case 'pong': {
        if (this.#probes.get(member)?.onPong(message.id) === true) return;
        const rttMs = this.#heartbeat.roundTripMs(message.id);
        if (rttMs === null) return;
        member.stats.rttMs = rttMs;
        member.link.recordDownload([{ bytes: 0, elapsedMs: rttMs }]);
        return;
      }
      case 'leaving':
        this.drop(member, CloseCode.normal, message.reason);
        return;
      case 'gradientTail':
      case 'gradient':
      case 'evaluation':
      case 'failed':
        if (!this.workers.has(member.id)) {
          throw new ProtocolError(CloseCode.unexpected, `A message of type ${message.type} before ready.`);
        }
        this.#events.emit((listener) => listener.answered?.(member, message, payload));
        if (message.type !== 'gradientTail') member.requestedEncodings.delete(message.shard);
    }
  }

  #remove(member: Worker, reason: string, code?: CloseCode): void {
    if (this.#preparing.delete(member.id))
      this.#events.emit((listener) =>
        listener.refused?.(`${member.name} left before it was ready: ${reason}`),
      );
    this.#options.engineFingerprints?.remove(member.id);
    if (!this.workers.delete(member.id)) return;
    this.#events.emit((listener) => listener.left?.(member, reason, code));
  }

  #allWorkers(): Worker[] {
    return [...this.workers.values(), ...this.#preparing.values()];
  }
}

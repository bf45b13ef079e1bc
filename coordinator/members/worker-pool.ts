import { nanoid } from 'nanoid';
import type { Clock } from '../../shared/clock.ts';
import type { Job } from '../../shared/model/job.ts';
import { closeReason, CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';
import {
  PROTOCOL_VERSION,
  type FromCoordinator,
  type FromWorker,
  type Hello,
  type ShardId,
  type Step,
  type WorkerId,
} from '../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../shared/protocol/parse.ts';
import type { Connection } from '../../shared/transport.ts';
import { admit, checkVersion, type AdmissionRules } from './admission.ts';
import type { Member } from './member.ts';

export interface PoolOptions {
  readonly job: Job;
  readonly rules: AdmissionRules;
  readonly clock: Clock;
  /** The largest frame that a worker has reason to send. */
  readonly maxFrameBytes: number;
  readonly heartbeatMs?: number;
  /** A worker that has said nothing for this long is gone. */
  readonly silenceMs?: number;
}

/** What happens among the workers. */
export interface PoolListener {
  joined(member: Member): void;
  left(member: Member, reason: string): void;
  answered(member: Member, message: Extract<FromWorker, { shard: ShardId }>, payload: Uint8Array): void;
  /** Somebody was not let in. */
  refused(reason: string): void;
}

/** What a connection's owner hands on to the pool. */
export interface PoolConnection {
  onFrame(frame: Uint8Array): void;
  onClose(code: number, reason: string): void;
}

const HELLO_WITHIN_MS = 10_000;
/** No hello is larger. */
const HELLO_BYTES = 64 << 10;
const DEFAULT_HEARTBEAT_MS = 5_000;
const DEFAULT_SILENCE_MS = 60_000;
/** As long as the first shard of a run may be kept. */
const WARM_UP_MS = 180_000;
const STRIKES = 3;

/** Everybody who may compute: lets workers in, hears them, and notices when they are gone. */
export class WorkerPool {
  /** Those who are ready for shards, in the order in which they became so. */
  readonly members = new Map<WorkerId, Member>();
  /** Those who are still building the model. */
  readonly #preparing = new Map<WorkerId, Member>();
  readonly #options: PoolOptions;
  readonly #listeners = new Set<PoolListener>();
  /** Refuses those who have not said hello yet. */
  readonly #strangers = new Set<(error: ProtocolError) => void>();
  readonly #heartbeatMs: number;
  #silenceMs: number;
  #pings = 0;
  #cancelHeartbeat: () => void;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#heartbeatMs = options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS;
    this.#silenceMs = options.silenceMs ?? DEFAULT_SILENCE_MS;
    this.#cancelHeartbeat = options.clock.after(this.#heartbeatMs, () => this.#heartbeat());
  }

  /** @returns what ends the listening */
  listen(listener: PoolListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a new connection in; it has to say hello before long. */
  connect(connection: Connection): PoolConnection {
    let member: Member | null = null;
    let refused = false;
    const refuse = (error: ProtocolError): void => {
      refused = true;
      forget();
      connection.close(error.code, closeReason(error.message));
      this.#listeners.forEach((listener) => listener.refused(error.message));
    };
    const cancelDeadline = this.#options.clock.after(HELLO_WITHIN_MS, () =>
      refuse(new ProtocolError(CloseCode.timeout, `No hello within ${HELLO_WITHIN_MS / 1000} s.`)),
    );
    const forget = (): void => {
      cancelDeadline();
      this.#strangers.delete(refuse);
    };
    this.#strangers.add(refuse);
    return {
      onFrame: (frame) => {
        // What arrives until the close is done is too late.
        if (refused) return;
        try {
          if (member !== null) {
            this.#onFrame(member, frame);
            return;
          }
          const hello = parseHello(frame);
          member = this.#welcome(hello, connection);
          forget();
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          refuse(error);
        }
      },
      onClose: (code, reason) => {
        forget();
        if (member !== null) this.#remove(member, reason === '' ? `connection closed (${code})` : reason);
      },
    };
  }

  send(member: Member, message: FromCoordinator): void {
    member.connection.send(frameFromCoordinator(message));
  }

  /** Ends a membership for a reason that the worker is told. */
  drop(member: Member, code: CloseCode, reason: string): void {
    member.connection.close(code, closeReason(reason));
    this.#remove(member, reason);
  }

  /** Tells a worker that its answer does not count; after a few of those it has to go. */
  reject(member: Member, answer: { step: Step; shard: ShardId }, error: ProtocolError): void {
    member.strikes++;
    const { step, shard } = answer;
    this.send(member, {
      type: 'rejected',
      step,
      shard,
      code: error.code,
      reason: error.message.slice(0, 500),
    });
    if (member.strikes >= STRIKES) this.drop(member, error.code, error.message);
  }

  /** Workers that take long are given longer before their silence counts. */
  allowSilence(ms: number): void {
    this.#silenceMs = Math.max(this.#options.silenceMs ?? DEFAULT_SILENCE_MS, ms);
  }

  /** Says goodbye to everybody. */
  close(reason: string): void {
    this.#cancelHeartbeat();
    for (const member of this.#everybody()) {
      this.send(member, { type: 'finished', reason });
      this.drop(member, CloseCode.normal, reason);
    }
    for (const refuse of this.#strangers) refuse(new ProtocolError(CloseCode.normal, reason));
  }

  #welcome(hello: Hello, connection: Connection): Member {
    const codec = admit(hello, this.#options.rules, this.members.size + this.#preparing.size);
    const member: Member = {
      id: nanoid<WorkerId>(10),
      name: hello.name,
      engine: hello.engine,
      codec,
      connection,
      lastHeardMs: this.#options.clock.now(),
      accepted: 0,
      strikes: 0,
      weightsStep: null,
      shards: new Set(),
    };
    this.#preparing.set(member.id, member);
    this.send(member, {
      type: 'welcome',
      protocol: PROTOCOL_VERSION,
      workerId: member.id,
      codec,
      heartbeatMs: this.#heartbeatMs,
      maxFrameBytes: this.#options.maxFrameBytes,
      job: this.#options.job,
    });
    return member;
  }

  #onFrame(member: Member, frame: Uint8Array): void {
    if (!this.members.has(member.id) && !this.#preparing.has(member.id)) return;
    member.lastHeardMs = this.#options.clock.now();
    try {
      if (frame.length > this.#options.maxFrameBytes)
        throw tooLarge(frame.length, this.#options.maxFrameBytes);
      this.#onMessage(member, frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.drop(member, error.code, error.message);
    }
  }

  #onMessage(member: Member, frame: Uint8Array): void {
    const { message, payload } = parseFromWorker(frame);
    switch (message.type) {
      case 'hello':
        throw new ProtocolError(CloseCode.unexpected, 'A second hello.');
      case 'ready':
        if (!this.#preparing.delete(member.id))
          throw new ProtocolError(CloseCode.unexpected, 'A second ready.');
        this.members.set(member.id, member);
        this.#listeners.forEach((listener) => listener.joined(member));
        return;
      case 'pong':
        return;
      case 'leaving':
        this.drop(member, CloseCode.normal, message.reason);
        return;
      case 'gradient':
      case 'evaluation':
      case 'failed':
        if (!this.members.has(member.id)) {
          throw new ProtocolError(CloseCode.unexpected, `A message of type ${message.type} before ready.`);
        }
        this.#listeners.forEach((listener) => listener.answered(member, message, payload));
    }
  }

  #remove(member: Member, reason: string): void {
    if (this.#preparing.delete(member.id))
      this.#listeners.forEach((listener) =>
        listener.refused(`${member.name} left before it was ready: ${reason}`),
      );
    if (!this.members.delete(member.id)) return;
    this.#listeners.forEach((listener) => listener.left(member, reason));
  }

  #everybody(): Member[] {
    return [...this.members.values(), ...this.#preparing.values()];
  }

  #heartbeat(): void {
    const now = this.#options.clock.now();
    const id = this.#pings++;
    for (const member of this.#everybody()) {
      const silentMs = now - member.lastHeardMs;
      // An engine that warms up on its first shard may block its own thread for long.
      const warmingUp = member.accepted === 0 && member.shards.size > 0;
      if (silentMs > (warmingUp ? Math.max(this.#silenceMs, WARM_UP_MS) : this.#silenceMs)) {
        this.drop(member, CloseCode.timeout, `Nothing heard for ${Math.round(silentMs / 1000)} s.`);
      } else {
        this.send(member, { type: 'ping', id });
      }
    }
    this.#cancelHeartbeat = this.#options.clock.after(this.#heartbeatMs, () => this.#heartbeat());
  }
}

function parseHello(frame: Uint8Array): Hello {
  if (frame.length > HELLO_BYTES) throw tooLarge(frame.length, HELLO_BYTES);
  checkVersion(frame);
  const { message } = parseFromWorker(frame);
  if (message.type === 'hello') return message;
  throw new ProtocolError(CloseCode.unexpected, `The first message has to be a hello, not ${message.type}.`);
}

const tooLarge = (bytes: number, most: number): ProtocolError =>
  new ProtocolError(CloseCode.tooLarge, `A frame of ${bytes} bytes; the most is ${most} here.`);

import type { Clock } from '../../shared/clock.ts';
import { CODECS } from '../../shared/codec/codec.ts';
import { FACTORS } from '../../shared/codec/factors.ts';
import type { Job } from '../../shared/model/job.ts';
import { closeReason, CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';
import {
  PROTOCOL_VERSION,
  type FromCoordinator,
  type Hello,
  type ShardId,
  type Step,
  type WorkerId,
} from '../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../shared/protocol/parse.ts';
import { SealChecker, sealing } from '../../shared/seals.ts';
import type { Connection } from '../../shared/transport.ts';
import { BlockBudget } from '../limits/block-budget.ts';
import { SMALL_BYTES } from '../limits/receive-budget.ts';
import { LinkProbe } from '../links/link-probe.ts';
import { admit, checkToken, type AdmissionRules } from './admission.ts';
import { Greetings, tooLarge, type PoolConnection } from './greetings.ts';
import { Heartbeat } from './heartbeat.ts';
import { instanceKey } from './instance-key.ts';
import type { KnownAnswers } from './known-answers.ts';
import { codecsInUse, PLAIN, type CodecRule } from './link-codecs.ts';
import type { Member } from './member.ts';
import { newMember } from './new-member.ts';
import { placeToFree } from './places.ts';
import { PoolListeners, type PoolListener } from './pool-listeners.ts';
import { workerName } from './worker-name.ts';

export interface PoolOptions {
  readonly job: Job;
  readonly rules: AdmissionRules;
  readonly clock: Clock;
  /** The largest frame that a worker has reason to send. */
  readonly maxFrameBytes: number;
  /** Where the pieces of weights' and gradients' tails start, for workers that take them; empty if there are none. */
  readonly tailCuts: readonly number[];
  /** Whom tails are worth while with; by default those on other machines. */
  readonly tailsFor?: (connection: Connection) => boolean;
  /** Whose codecs are chosen as the run goes, where that is the rule; by default those on other machines. */
  readonly recodesFor?: (connection: Connection) => boolean;
  /**
   * Takes in somebody who only looks on.
   * @throws ProtocolError with what they are told instead
   */
  readonly watch: (connection: Connection) => PoolConnection;
  /** Compares the bits of the engines that come; null where they do not matter. */
  readonly knownAnswers?: KnownAnswers | null;
  readonly heartbeatMs?: number;
  /** A worker that has said nothing for this long is gone. */
  readonly silenceMs?: number;
}

const DEFAULT_HEARTBEAT_MS = 5_000;
const DEFAULT_SILENCE_MS = 60_000;
const STRIKES = 3;
/** So many good answers make up for a bad one. */
const FORGIVEN_AFTER = 100;
/** That much more than the weights may wait to be sent. */
const CLOGGED_BYTES = 1 << 20;
/** Workers that may join: after a break of the network all of them come back together. */
const JOINS = { ofBlock: { burst: 250, perSecond: 50 }, inAll: { burst: 500, perSecond: 100 } };

/** Within one machine there is no transfer to hide, and the cores have enough to do. */
const onAnotherMachine = ({ sameMachine }: Connection): boolean => sameMachine !== true;

/** Everybody who may compute: lets workers in, hears them, and notices when they are gone. */
export class WorkerPool {
  /** Those who are ready for shards, in the order in which they became so. */
  readonly members = new Map<WorkerId, Member>();
  /** Those who are still building the model. */
  readonly #preparing = new Map<WorkerId, Member>();
  readonly #options: PoolOptions;
  readonly #listeners = new PoolListeners();
  readonly #greetings: Greetings;
  readonly #joins: BlockBudget;
  readonly #heartbeatMs: number;
  readonly #heartbeat: Heartbeat;
  readonly #probes = new WeakMap<Member, LinkProbe>();
  /** Why the work is over; null while it is not. */
  #finished: string | null = null;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#greetings = new Greetings(options.clock);
    this.#joins = new BlockBudget(options.clock, JOINS);
    this.#heartbeatMs = options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS;
    this.#heartbeat = new Heartbeat({
      clock: options.clock,
      everyMs: this.#heartbeatMs,
      silenceMs: options.silenceMs ?? DEFAULT_SILENCE_MS,
      clogBytes: options.maxFrameBytes + CLOGGED_BYTES,
      everybody: () => this.#everybody(),
      isPreparing: ({ id }) => this.#preparing.has(id),
      ping: (member, id) => this.send(member, { type: 'ping', id }),
      drop: (member, code, reason) => this.drop(member, code, reason),
    });
  }

  /** How vectors travel to and from workers that know these codecs. */
  get codecs(): CodecRule {
    return this.#options.rules.codecs ?? PLAIN;
  }

  /** How vectors travel now, as history.jsonl has it: 'int4/int8', or 'float32/float32 2, int8/int8 1'. */
  get codecsInUse(): string {
    return codecsInUse(this.members.values(), this.codecs);
  }

  /** @returns what ends the listening */
  listen(listener: PoolListener): () => void {
    return this.#listeners.add(listener);
  }

  /** Takes a new connection in; it has to say hello before long. */
  connect(connection: Connection): PoolConnection {
    const mostBytesOf = (member: Member): number => this.#mostBytesOf(member);
    return this.#greetings.greet(connection, {
      welcome: (hello) => {
        if (this.#finished !== null) return this.#tooLate(hello, connection, this.#finished);
        const sealable = sealing(connection);
        const member = this.#welcome(hello, sealable);
        const seals = new SealChecker();
        if (this.#options.job.microShard !== undefined) {
          sealable.seal();
          seals.seal();
        }
        return {
          onFrame: (bytes) => this.#onFrame(member, seals, bytes),
          answersPerFrame: 1 + (member.tails ? this.#options.tailCuts.length : 0),
          get heldBytes() {
            return seals.heldBytes;
          },
          get maxMessageBytes() {
            return mostBytesOf(member);
          },
          onClose: (code, reason) =>
            this.#remove(member, reason === '' ? `connection closed (${code})` : reason),
        };
      },
      watch: (message) => {
        checkToken(message.token, this.#options.rules);
        return this.#options.watch(connection);
      },
      refused: (reason) => this.#listeners.tell((listener) => listener.refused?.(reason)),
    });
  }

  send(member: Member, message: FromCoordinator): void {
    member.connection.send(frameFromCoordinator(message));
  }

  /** Ends a membership for a reason that the worker is told. */
  drop(member: Member, code: CloseCode, reason: string): void {
    member.connection.close(code, closeReason(reason));
    this.#remove(member, reason, code);
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

  /** A round begins. In an exact run the first one decides which engines may take part; others are dropped. */
  agreeOnBits(): void {
    for (const [worker, { code, message }] of this.#options.knownAnswers?.decide() ?? []) {
      const member = this.members.get(worker);
      if (member !== undefined) this.drop(member, code, message);
    }
  }

  /** An answer counts. */
  accepted(member: Member): void {
    member.accepted++;
    if (member.accepted % FORGIVEN_AFTER === 0 && member.strikes > 0) member.strikes--;
  }

  /** Whether what a worker was sent piles up, since it does not read it or the link is too slow. */
  isClogged(member: Member): boolean {
    return this.#heartbeat.isClogged(member);
  }

  /** @param reason why steps do without this worker; null if they do not any more */
  keepInReserve(member: Member, reason: string | null): void {
    member.reserve = reason !== null;
    if (member.hearsReserve) {
      this.send(member, {
        type: 'reserve',
        waiting: member.reserve,
        reason: reason ?? 'Steps are faster with it.',
      });
    }
    this.#listeners.tell((listener) => listener.reserved?.(member, reason));
  }

  /** Says that a worker's codecs have changed. */
  sayRecoded(member: Member, reason: string): void {
    this.#listeners.tell((listener) => listener.recoded?.(member, reason));
  }

  /** Workers that take long are given longer before their silence counts. */
  allowSilence(ms: number): void {
    this.#heartbeat.allowSilence(ms);
  }

  /** The work is over: all workers are told so and go, and whichever join later too. */
  finish(reason: string): void {
    if (this.#finished !== null) return;
    this.#finished = reason;
    this.#heartbeat.stop();
    for (const member of this.#everybody()) {
      this.send(member, { type: 'finished', reason });
      this.drop(member, CloseCode.normal, reason);
    }
  }

  /** @param reason of the end, unless finish() has said it */
  close(reason: string): void {
    this.finish(reason);
    this.#greetings.close(reason);
  }

  /** Says that the work is over to a worker that joins afterwards. @throws ProtocolError (unauthorized) */
  #tooLate(hello: Hello, connection: Connection, reason: string): PoolConnection {
    checkToken(hello.token, this.#options.rules);
    connection.send(frameFromCoordinator({ type: 'finished', reason }));
    connection.close(CloseCode.normal, closeReason(reason));
    return { onFrame: () => undefined, onClose: () => undefined };
  }

  #welcome(hello: Hello, connection: Connection): Member {
    const { tailCuts, tailsFor = onAnotherMachine } = this.#options;
    const { clock, rules } = this.#options;
    const block = connection.addressBlock ?? '';
    checkToken(hello.token, rules);
    const key = instanceKey(hello.instance);
    const old = this.#everybody().find(({ instance }) => instance !== null && instance === key);
    if (!this.#joins.spend(block)) {
      throw new ProtocolError(CloseCode.full, 'Too many workers come at once; come back in some seconds.');
    }
    if (old === undefined) this.#freePlace(block);
    const taken = this.members.size + this.#preparing.size - (old === undefined ? 0 : 1);
    const codecs = admit(hello, rules, taken);
    if (old !== undefined) this.drop(old, CloseCode.timeout, 'It has come back on another connection.');
    const name = workerName(
      hello.name,
      this.#everybody().map((member) => member.name),
    );
    const recodes = codecs.up === FACTORS ? [FACTORS] : this.#recodesOf(hello, connection);
    const probe = new LinkProbe({
      clock,
      ping: () => {
        const id = this.#heartbeat.nextPing();
        this.send(member, { type: 'ping', id });
        return id;
      },
      onMeasured: (deliveries) => member.link.delivered(deliveries),
    });
    const member: Member = newMember(hello, codecs, connection, {
      name,
      nowMs: clock.now(),
      recodes,
      tails: tailCuts.length > 0 && tailsFor(connection),
      sent: (bytes, more) => {
        if (recodes.length > 0 && this.members.has(member.id)) probe.sent(bytes, more);
      },
    });
    const mayUpdate = member.updateCodec !== null || (this.codecs === 'auto' && recodes.length > 0);
    this.#probes.set(member, probe);
    this.#preparing.set(member.id, member);
    this.send(member, {
      type: 'welcome',
      protocol: PROTOCOL_VERSION,
      workerId: member.id,
      codec: member.welcomed.codec,
      ...(member.updateCodec === null ? {} : { updateCodec: member.updateCodec }),
      ...(mayUpdate ? {} : { updates: false }),
      heartbeatMs: this.#heartbeatMs,
      maxFrameBytes: this.#options.maxFrameBytes,
      ...(member.tails ? { tailCuts: [...tailCuts] } : {}),
      job: this.#options.job,
    });
    return member;
  }

  /** If all places are taken, closes the connection of a worker that only holds its place. */
  #freePlace(block: string): void {
    const { clock, rules } = this.#options;
    const all = this.#everybody();
    if (all.length < rules.maxWorkers) return;
    const places = all.map((member) => ({
      member,
      block: member.block,
      sinceMs: member.welcomedMs,
      ready: this.members.has(member.id),
      hasComputed: member.accepted > 0,
    }));
    const place = placeToFree(places, block, clock.now());
    if (place === null) return;
    this.drop(place.member, CloseCode.full, 'Its place is needed, and it has not computed anything.');
  }

  /** Only an answer to a shard is large. */
  #mostBytesOf({ asked }: Member): number {
    const { maxFrameBytes } = this.#options;
    return asked.size > 0 ? maxFrameBytes : Math.min(SMALL_BYTES, maxFrameBytes);
  }

  /** Codecs that this worker may be asked to use as the run goes. */
  #recodesOf(hello: Hello, connection: Connection): string[] {
    const { recodesFor = onAnotherMachine } = this.#options;
    if (this.codecs !== 'auto' || hello.recode !== true || !recodesFor(connection)) return [];
    return [...CODECS.map(({ name }) => name), FACTORS].filter((name) => hello.codecs.includes(name));
  }

  #onFrame(member: Member, seals: SealChecker, bytes: Uint8Array): void {
    if (!this.members.has(member.id) && !this.#preparing.has(member.id)) return;
    member.lastHeardMs = this.#options.clock.now();
    member.stats.bytesUp += bytes.length;
    const { arrival } = member.connection;
    if (arrival !== undefined) member.link.arrived(arrival.bytes, arrival.ms);
    try {
      const mostBytes = this.#mostBytesOf(member);
      if (bytes.length > mostBytes) throw tooLarge(bytes.length, mostBytes);
      const frame = seals.take(bytes);
      if (frame !== null) this.#onMessage(member, frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.drop(member, error.code, error.message);
    }
  }

  #onMessage(member: Member, frame: Uint8Array): void {
    const { message, payload } = parseFromWorker(frame);
    switch (message.type) {
      case 'hello':
      case 'watch':
      case 'snapshot':
        throw new ProtocolError(CloseCode.unexpected, `A ${message.type} from a worker that was welcomed.`);
      case 'ready':
        if (!this.#preparing.has(member.id)) throw new ProtocolError(CloseCode.unexpected, 'A second ready.');
        this.#options.knownAnswers?.check(member.id, member.engine, message.knownAnswer);
        this.#preparing.delete(member.id);
        this.members.set(member.id, member);
        if (member.recodes.length > 0) this.#probes.get(member)?.begin();
        this.#listeners.tell((listener) => listener.joined?.(member));
        return;
      case 'pong': {
        if (this.#probes.get(member)?.answered(message.id) === true) return;
        const rttMs = this.#heartbeat.answered(message.id);
        if (rttMs === null) return;
        member.stats.rttMs = rttMs;
        member.link.delivered([{ bytes: 0, elapsedMs: rttMs }]);
        return;
      }
      case 'leaving':
        this.drop(member, CloseCode.normal, message.reason);
        return;
      case 'gradientTail':
      case 'gradient':
      case 'evaluation':
      case 'failed':
        if (!this.members.has(member.id)) {
          throw new ProtocolError(CloseCode.unexpected, `A message of type ${message.type} before ready.`);
        }
        this.#listeners.tell((listener) => listener.answered?.(member, message, payload));
        if (message.type !== 'gradientTail') member.asked.delete(message.shard);
    }
  }

  #remove(member: Member, reason: string, code?: CloseCode): void {
    if (this.#preparing.delete(member.id))
      this.#listeners.tell((listener) =>
        listener.refused?.(`${member.name} left before it was ready: ${reason}`),
      );
    this.#options.knownAnswers?.left(member.id);
    if (!this.members.delete(member.id)) return;
    this.#listeners.tell((listener) => listener.left?.(member, reason, code));
  }

  #everybody(): Member[] {
    return [...this.members.values(), ...this.#preparing.values()];
  }
}

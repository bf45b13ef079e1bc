import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../../../shared/util/clock.ts';
import { addressBlock } from './address-block.ts';
import { BlockRateLimiter, type BlockRateLimits } from './block-rate-limiter.ts';
import type { PendingConnectionLimiter } from './pending-connections.ts';

/**
 * What connections and requests may cost. A unit is some 30 microseconds of the coordinator's one thread. A class behind
 * one router that opens the page at once, or comes back at once, needs some 3,000.
 */
const LIMITS: BlockRateLimits = {
  perBlock: { burst: 3_000, perSecond: 300 },
  total: { burst: 10_000, perSecond: 1_000 },
};
const REQUEST_UNITS = 1;
const CONNECTION_UNITS = 1;
/** A handshake signs. */
const TLS_CONNECTION_UNITS = 10;
/** A WebSocket is set up, and a hello is parsed. */
const UPGRADE_UNITS = 5;
/** Requests of one connection that are not answered yet. Browsers do not pipeline; some programs send a few ahead. */
const MAX_UNANSWERED = 16;
/** A megabyte in that time is slow for any link. */
const RESPONSE_TIMEOUT_MS = 60_000;

interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly destroyed: boolean;
  destroy(): unknown;
}

/** Bounds what clients can have the coordinator do over HTTP before they have shown a token. */
export class HttpRateLimiter {
  readonly #clock: Clock;
  readonly #pending: Pick<PendingConnectionLimiter, 'evictBlock'>;
  readonly #budget: BlockRateLimiter;
  readonly #unanswered = new WeakMap<Socket, number>();
  /** A socket forgets its address when it is closed. */
  readonly #blocks = new WeakMap<object, string>();

  /** @param pending connections that are closed when their network asks for too much: what they send is not even read */
  constructor(clock: Clock, pending: Pick<PendingConnectionLimiter, 'evictBlock'>, limits = LIMITS) {
    this.#clock = clock;
    this.#pending = pending;
    this.#budget = new BlockRateLimiter(clock, limits);
  }

  /** Closes a new connection of a network that has had too many connections and requests. @returns whether it is open */
  acceptConnection(socket: Peer, isTls: boolean): boolean {
    if (this.#budget.spend(this.#getBlock(socket), isTls ? TLS_CONNECTION_UNITS : CONNECTION_UNITS))
      return true;
    socket.destroy();
    return false;
  }

  /** Closes the connection if a request is one too many, or its response is not read. @returns whether to answer it */
  acceptRequest({ socket }: IncomingMessage, response: ServerResponse): boolean {
    if (!this.#charge(socket, REQUEST_UNITS)) return false;
    const unanswered = (this.#unanswered.get(socket) ?? 0) + 1;
    if (unanswered > MAX_UNANSWERED) {
      socket.destroy();
      return false;
    }
    this.#unanswered.set(socket, unanswered);
    const cancel = this.#clock.after(RESPONSE_TIMEOUT_MS, () => socket.destroy());
    response.once('close', () => {
      cancel();
      this.#unanswered.set(socket, (this.#unanswered.get(socket) ?? 1) - 1);
    });
    return true;
  }

  /** The same for a request to open a WebSocket. */
  acceptUpgrade(socket: Peer): boolean {
    return this.#charge(socket, UPGRADE_UNITS);
  }

  /** What is left of a chunk of requests is still parsed when their connection is closed, so it is paid for. */
  #charge(socket: Peer, units: number): boolean {
    const block = this.#getBlock(socket);
    if (this.#budget.charge(block, units)) return !socket.destroyed;
    if (!socket.destroyed) {
      socket.destroy();
      this.#pending.evictBlock(block);
    }
    return false;
  }

  #getBlock(socket: Peer): string {
    const block = this.#blocks.get(socket) ?? addressBlock(socket.remoteAddress ?? '');
    this.#blocks.set(socket, block);
    return block;
  }
}

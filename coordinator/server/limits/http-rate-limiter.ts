import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../../../shared/util/clock.ts';
import { addressBlock } from './address-block.ts';
import { BlockRateLimiter, type BlockRateLimits } from './block-rate-limiter.ts';
import type { PendingConnectionLimiter } from './pending-connections.ts';

const REQUEST_UNITS = 1;
const CONNECTION_UNITS = 1;
/** A TLS handshake computes a signature. */
const TLS_CONNECTION_UNITS = 10;
/** An upgrade opens a WebSocket and parses a hello. */
const UPGRADE_UNITS = 5;
/** Unanswered requests of one connection. Browsers do not pipeline; some programs send a few requests ahead. */
const MAX_UNANSWERED = 16;
/** Any link transfers a megabyte in this time. */
const RESPONSE_TIMEOUT_MS = 60_000;

interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly destroyed: boolean;
  destroy(): unknown;
}

/** Limits the work that clients without a token can cause over HTTP. */
export class HttpRateLimiter {
  readonly #clock: Clock;
  readonly #pending: Pick<PendingConnectionLimiter, 'evictBlock'>;
  readonly #budget: BlockRateLimiter;
  readonly #unanswered = new WeakMap<Socket, number>();
  /** Address blocks by socket: a closed socket no longer knows its address. */
  readonly #blocks = new WeakMap<object, string>();

  /**
   * @param pending connections that are closed, unread, when their network exceeds its limit
   * @param limits in units of some 30 microseconds of the coordinator's only thread
   */
  constructor(clock: Clock, pending: Pick<PendingConnectionLimiter, 'evictBlock'>, limits: BlockRateLimits) {
    this.#clock = clock;
    this.#pending = pending;
    this.#budget = new BlockRateLimiter(clock, limits);
  }

  /** Closes a new connection if its network has exceeded the limit. @returns whether the connection is still open */
  acceptConnection(socket: Peer, isTls: boolean): boolean {
    if (this.#budget.spend(this.#getBlock(socket), isTls ? TLS_CONNECTION_UNITS : CONNECTION_UNITS))
      return true;
    socket.destroy();
    return false;
  }

  /** Closes the connection if a request exceeds a limit, or if its response is not read. @returns whether to answer */
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

  /** Closes the connection if a request to open a WebSocket exceeds the limit. @returns whether to answer */
  acceptUpgrade(socket: Peer): boolean {
    return this.#charge(socket, UPGRADE_UNITS);
  }

  /** Node parses the other requests of a chunk even if their connection is closed, so they count too. */
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

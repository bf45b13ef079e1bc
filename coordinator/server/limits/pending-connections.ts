import type { Socket } from 'node:net';
import { addressBlock } from './address-block.ts';

export interface PendingLimits {
  readonly perBlock: number;
  readonly total: number;
}

/** Address and port that identify a connection. */
type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;
/** The part of a socket that can be closed. */
interface Closable {
  destroy(): unknown;
}
type PendingSocket = Peer & Closable & { once(event: 'close', listener: () => void): unknown };

/**
 * Limits the number of connections that are not admitted yet, so that a client cannot occupy memory and sockets with
 * silent connections. A new connection is never refused: it replaces the oldest pending connection of the address block
 * that has the most. A client with a token is pending for some milliseconds only, so it always gets through.
 */
export class PendingConnectionLimiter {
  readonly #limits: PendingLimits;
  /** Connections by block, the oldest first. */
  readonly #blocks = new Map<string, Map<string, Closable>>();
  #count = 0;

  constructor(limits: PendingLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  /** Adds a new connection; an older one may be closed for it. */
  add(socket: PendingSocket): void {
    const block = addressBlock(socket.remoteAddress ?? '');
    if ((this.#blocks.get(block)?.size ?? 0) >= this.#limits.perBlock) this.#evictOldest(block);
    else if (this.#count >= this.#limits.total) this.evict();
    const sockets = this.#blocks.get(block) ?? new Map<string, Closable>();
    this.#blocks.set(block, sockets);
    const key = connectionKey(socket);
    if (!sockets.has(key)) this.#count++;
    sockets.set(key, socket);
    // A closed socket no longer knows its address.
    socket.once('close', () => this.#remove(block, key, socket));
  }

  /** Removes a connection that has been admitted as a worker or an observer. */
  admit(peer: Peer): void {
    this.#remove(addressBlock(peer.remoteAddress ?? ''), connectionKey(peer));
  }

  /** Closes the oldest connection of the block that has the most. @returns false without pending connections */
  evict(): boolean {
    const [first, ...others] = this.#blocks;
    if (first === undefined) return false;
    const [largest] = others.reduce((a, b) => (b[1].size > a[1].size ? b : a), first);
    this.#evictOldest(largest);
    return true;
  }

  /** Closes all connections of a block. */
  evictBlock(block: string): void {
    const sockets = [...(this.#blocks.get(block) ?? [])];
    for (const [key, socket] of sockets) {
      this.#remove(block, key);
      socket.destroy();
    }
  }

  #evictOldest(block: string): void {
    const [oldest] = this.#blocks.get(block) ?? [];
    if (oldest === undefined) return;
    const [key, socket] = oldest;
    this.#remove(block, key);
    socket.destroy();
  }

  /** @param socket removed only if the key still belongs to it, and not to a newer connection */
  #remove(block: string, key: string, socket?: Closable): void {
    const sockets = this.#blocks.get(block);
    const found = sockets?.get(key);
    if (sockets === undefined || found === undefined || (socket !== undefined && socket !== found)) return;
    sockets.delete(key);
    this.#count--;
    if (sockets.size === 0) this.#blocks.delete(block);
  }
}

const connectionKey = ({ remoteAddress, remotePort }: Peer): string =>
  `${remoteAddress ?? ''} ${remotePort ?? ''}`;

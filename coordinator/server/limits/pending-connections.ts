import type { Socket } from 'node:net';
import { addressBlock } from './address-block.ts';

export interface PendingLimits {
  readonly perBlock: number;
  readonly total: number;
}

/** A class behind one router may open the page together. */
export const PENDING_LIMITS: PendingLimits = { perBlock: 256, total: 2_048 };

/** How a connection is named by both its ends. */
type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

/**
 * Connections that have not been admitted: of these there may be so many and no more, so that no client can hold the
 * memory and the sockets of a run by opening connections and saying nothing. A newcomer is not refused: the oldest
 * pending connection of the address block that has the most of them is closed for it. Whoever brings a token needs a
 * place for milliseconds only, and finds one.
 */
export class PendingConnectionLimiter {
  readonly #limits: PendingLimits;
  /** By block, the oldest first. */
  readonly #blocks = new Map<string, Map<string, Pick<Socket, 'destroy'>>>();
  #count = 0;

  constructor(limits: PendingLimits = PENDING_LIMITS) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  /** Takes a new connection in; an older one may be closed for it. */
  add(socket: Socket): void {
    const block = addressBlock(socket.remoteAddress ?? '');
    if ((this.#blocks.get(block)?.size ?? 0) >= this.#limits.perBlock) this.#evictOldest(block);
    else if (this.#count >= this.#limits.total) this.evict();
    const sockets = this.#blocks.get(block) ?? new Map<string, Socket>();
    this.#blocks.set(block, sockets);
    const key = connectionKey(socket);
    if (!sockets.has(key)) this.#count++;
    sockets.set(key, socket);
    // Its address is gone when it has closed.
    socket.once('close', () => this.#remove(block, key, socket));
  }

  /** It is pending no longer: a worker or an observer. */
  admit(peer: Peer): void {
    this.#remove(addressBlock(peer.remoteAddress ?? ''), connectionKey(peer));
  }

  /** Closes the oldest connection of the block that has the most. @returns whether there was one */
  evict(): boolean {
    const [first, ...others] = this.#blocks;
    if (first === undefined) return false;
    const [largest] = others.reduce((most, each) => (each[1].size > most[1].size ? each : most), first);
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

  /** @param socket the one that is meant, where another one may have got the same key since */
  #remove(block: string, key: string, socket?: Pick<Socket, 'destroy'>): void {
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

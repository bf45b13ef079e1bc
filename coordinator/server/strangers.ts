import type { Socket } from 'node:net';

export interface StrangerLimits {
  readonly ofAnAddress: number;
  readonly inAll: number;
}

/** A class behind one router may open the page together. */
const LIMITS: StrangerLimits = { ofAnAddress: 256, inAll: 2_048 };

/** How a connection is named by both its ends. */
type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

/**
 * Connections of those who have not been let in: of these there may be so many and no more, so that nobody can hold the
 * memory and the sockets of a run by opening connections and saying nothing.
 */
export class Strangers {
  readonly #limits: StrangerLimits;
  readonly #present = new Set<string>();
  readonly #ofAddress = new Map<string, number>();

  constructor(limits: StrangerLimits = LIMITS) {
    this.#limits = limits;
  }

  /** Takes a new connection in, or cuts it off. */
  arrive(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const there = this.#ofAddress.get(address) ?? 0;
    if (there >= this.#limits.ofAnAddress || this.#present.size >= this.#limits.inAll) {
      socket.destroy();
      return;
    }
    const key = keyOf(socket);
    this.#present.add(key);
    this.#ofAddress.set(address, there + 1);
    // Its address is gone when it has closed.
    socket.once('close', () => this.#leave(key, address));
  }

  /** It is a stranger no longer: a worker or an observer. */
  letIn(peer: Peer): void {
    this.#leave(keyOf(peer), peer.remoteAddress ?? '');
  }

  #leave(key: string, address: string): void {
    if (!this.#present.delete(key)) return;
    const left = (this.#ofAddress.get(address) ?? 1) - 1;
    if (left > 0) this.#ofAddress.set(address, left);
    else this.#ofAddress.delete(address);
  }
}

const keyOf = ({ remoteAddress, remotePort }: Peer): string => `${remoteAddress ?? ''} ${remotePort ?? ''}`;

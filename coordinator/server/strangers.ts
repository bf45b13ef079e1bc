import type { Socket } from 'node:net';

/** Of one address: a class behind one router may open the page together. */
const MOST_OF_AN_ADDRESS = 256;
const MOST = 2_048;

/** How a connection is named by both its ends. */
type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

/**
 * Connections of those who have not been let in: of these there may be so many and no more, so that nobody can hold the
 * memory and the sockets of a run by opening connections and saying nothing.
 */
export class Strangers {
  readonly #present = new Set<string>();
  readonly #ofAddress = new Map<string, number>();

  /** Takes a new connection in, or cuts it off. */
  arrive(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const there = this.#ofAddress.get(address) ?? 0;
    if (there >= MOST_OF_AN_ADDRESS || this.#present.size >= MOST) {
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

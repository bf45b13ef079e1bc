import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { RandomStream } from '../../shared/random/stream.ts';

/** Faults of a TCP connection. */
export const BYTE_FAULTS = ['delay', 'duplicate', 'truncate', 'corrupt', 'reconnect'] as const;
export type ByteFault = (typeof BYTE_FAULTS)[number];

/** A TCP proxy that injects faults. */
export interface FaultyProxy {
  readonly port: number;
  /** Cuts all connections, or applies the fault to the next bytes of a random direction. */
  inject(fault: ByteFault): void;
  close(): void;
}

export async function startFaultyProxy(target: number, random: RandomStream): Promise<FaultyProxy> {
  const sockets = new Set<Socket>();
  let next: { readonly fault: ByteFault; readonly up: boolean } | null = null;

  const forward = (from: Socket, to: Socket, up: boolean): void => {
    sockets.add(from);
    from.on('error', () => undefined);
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
    from.on('data', (bytes: Buffer) => {
      const fault = next?.up === up ? next.fault : null;
      if (fault !== null) next = null;
      switch (fault) {
        case 'delay':
          // Later bytes wait too, since TCP keeps the order.
          from.pause();
          to.write(bytes);
          setTimeout(() => from.resume(), 10 + random.below(300));
          return;
        case 'duplicate':
          to.write(bytes);
          to.write(bytes);
          return;
        case 'truncate':
          to.write(bytes.subarray(0, random.below(bytes.length)));
          return;
        case 'corrupt': {
          const at = random.below(bytes.length);
          bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
          to.write(bytes);
          return;
        }
        case 'reconnect':
        case null:
          to.write(bytes);
      }
    });
  };

  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    forward(near, far, true);
    forward(far, near, false);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    port: (server.address() as AddressInfo).port,
    inject(fault) {
      if (fault === 'reconnect') cut();
      else next = { fault, up: random.below(2) === 0 };
    },
    close() {
      cut();
      server.close();
    },
  };
}

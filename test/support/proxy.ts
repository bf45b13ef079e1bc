import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP proxy at one address in front of changing coordinators. */
export interface Proxy {
  readonly port: number;
  /** Cuts all connections and sends new ones to this port; with null, new connections are cut too. */
  pointTo(port: number | null): void;
  close(): void;
}

export async function startProxy(): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let target: number | null = null;
  const server = createServer((near) => {
    if (target === null) {
      near.destroy();
      return;
    }
    const far = connect(target, '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => undefined);
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    port: (server.address() as AddressInfo).port,
    pointTo(port) {
      target = port;
      cut();
    },
    close() {
      cut();
      server.close();
    },
  };
}

import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import { PROTOCOL_VERSION, type FromWorker } from '../../shared/protocol/messages.ts';
import { frameFromWorker } from '../../shared/protocol/frame.ts';

/** Starts an attack, which continues until its process ends. */
type Attack = (url: URL) => Promise<void>;

const watch: FromWorker = { type: 'watch', protocol: PROTOCOL_VERSION };
const hello = (name: string): FromWorker => ({
  type: 'hello',
  protocol: PROTOCOL_VERSION,
  name,
  engine: { backend: 'none', version: '1', device: 'none', threads: 1 },
  codecs: ['float32'],
});

const openSocket = (url: URL): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connect(Number(url.port), url.hostname, () => resolve(socket));
    socket.on('error', () => resolve(socket));
  });

const openWebSocket = (url: URL): Promise<WebSocket> =>
  new Promise((resolve) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on('error', () => resolve(socket));
    socket.on('open', () => resolve(socket));
  });

/** Name of the page's largest file, uncompressed. */
async function findLargestFile(url: URL): Promise<string> {
  const base = `http://${url.host}/`;
  const html = await (await fetch(base)).text();
  const names = [...html.matchAll(/(?:href|src)="([^"]+\.js)"/g)].map(([, name]) => name ?? '');
  const sources = await Promise.all(names.map(async (name) => (await fetch(base + name)).text()));
  const imported = sources.flatMap((text) =>
    [...text.matchAll(/[\w-]+-[A-Z0-9]{8}\.(?:js|wasm)/g)].map(String),
  );
  const all = [...new Set([...names, ...imported])];
  const sizes = await Promise.all(
    all.map(async (name) => (await (await fetch(base + name)).arrayBuffer()).byteLength),
  );
  return all[sizes.indexOf(Math.max(...sizes))] ?? '';
}

/** Repeats some work forever, with this concurrency and a short pause after each run, failed or not. */
function repeatConcurrently(concurrency: number, work: () => Promise<unknown>): void {
  for (let i = 0; i < concurrency; i++) {
    void (async () => {
      for (;;) {
        await work().catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
  }
}

const closed = (socket: { once(type: 'close', listener: () => void): unknown }): Promise<void> =>
  new Promise((resolve) => void socket.once('close', () => resolve()));

const isOpen = ({ readyState }: WebSocket): boolean => readyState === WebSocket.OPEN;

/** Sends a frame as fast as the connection accepts it, until it is closed. */
async function flood(socket: WebSocket, frame: Uint8Array): Promise<void> {
  const ended = closed(socket);
  while (isOpen(socket)) {
    for (let i = 0; i < 500; i++) socket.send(frame);
    while (socket.bufferedAmount > 1 << 20 && isOpen(socket)) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await ended;
}

/** Attacks on any run. */
export const SMALL_ATTACKS: Readonly<Record<string, Attack>> = {
  async 'pipelined GETs, no answer read'(url) {
    const get = `GET /${await findLargestFile(url)} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(1_300);
    repeatConcurrently(25, async () => {
      const socket = await openSocket(url);
      socket.pause();
      socket.write(get);
      // Without reading, the socket does not notice its end.
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      socket.destroy();
    });
  },
  async 'aborted downloads'(url) {
    const get = `GET /${await findLargestFile(url)} HTTP/1.1\r\nHost: x\r\n\r\n`;
    repeatConcurrently(4, async () => {
      const socket = await openSocket(url);
      socket.write(get);
      await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
      socket.destroy();
    });
  },
  'GETs one after another': (url) => {
    repeatConcurrently(50, async () => {
      const socket = await openSocket(url);
      const ended = closed(socket);
      const ask = (): boolean => socket.write('GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n');
      socket.on('data', ask);
      ask();
      await ended;
    });
    return Promise.resolve();
  },
  'idle connections, opened again': (url) => {
    repeatConcurrently(500, async () => closed(await openSocket(url)));
    return Promise.resolve();
  },
  'pongs of an observer': (url) => {
    repeatConcurrently(1, async () => {
      const socket = await openWebSocket(url);
      socket.send(frameFromWorker(watch));
      await flood(socket, frameFromWorker({ type: 'pong', id: 1 }));
    });
    return Promise.resolve();
  },
  'pongs of workers': (url) => {
    repeatConcurrently(4, async () => {
      const socket = await openWebSocket(url);
      socket.send(frameFromWorker(hello('flood')));
      await flood(socket, frameFromWorker({ type: 'pong', id: 1 }));
    });
    return Promise.resolve();
  },
  'observers that join and leave': (url) => {
    repeatConcurrently(50, async () => {
      const socket = await openWebSocket(url);
      socket.send(frameFromWorker(watch));
      await new Promise((resolve) => socket.once('message', resolve).once('close', resolve));
      socket.terminate();
    });
    return Promise.resolve();
  },
};

/** Opens clients of the run that begin a message and never end it. */
async function sendIncompleteMessages(url: URL, ...first: readonly FromWorker[]): Promise<void> {
  await Promise.all(
    Array.from({ length: 200 }, async () => {
      const socket = await openWebSocket(url);
      for (const message of first) socket.send(frameFromWorker(message));
      // Less than twice the largest message, which is the most that the server ever receives.
      for (let sent = 0; sent < 9 << 20; sent += 256 << 10) {
        socket.send(Buffer.alloc(256 << 10), { binary: true, fin: false });
      }
    }),
  );
  // Time for the server to receive or reject it.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
}

/** Attacks on runs with large messages. */
export const LARGE_ATTACKS: Readonly<Record<string, Attack>> = {
  'incomplete messages, 200 observers': (url) => sendIncompleteMessages(url, watch),
  'incomplete messages, 200 not ready': (url) => sendIncompleteMessages(url, hello('hold')),
  'incomplete messages, 200 ready': (url) => sendIncompleteMessages(url, hello('hold'), { type: 'ready' }),
};

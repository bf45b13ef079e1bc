import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { selfSignedCertificate } from '../../coordinator/server/tls.ts';
import type { Connect } from '../../shared/protocol/transport.ts';
import { RefusedError, runWorker } from '../../shared/worker/connection-loop.ts';
import { adviseOnPath, connectPinned, connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { runWorker as runLibraryWorker } from '../../worker-node/index.ts';
import { stubEngine } from '../support/stub-engine.ts';
import { manualClock } from '../support/manual-clock.ts';

test.each<[string, readonly string[] | undefined, RegExp]>([
  ['is not pinned', undefined, /self-signed certificate.*: set --fingerprint/],
  ['is not the one that is pinned', ['AA:BB'], /has the fingerprint .*, not the one of --fingerprint/],
])('a worker does not retry if a self-signed certificate %s', async (_, fingerprints, sentence) => {
  const folder = await mkdtemp(join(tmpdir(), 'gradcast-connect-'));
  const { cert, key } = await selfSignedCertificate(folder, [], new Date());
  await rm(folder, { recursive: true });
  const https = createServer({ cert, key });
  const server = new WebSocketServer({ server: https });
  await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
  const { port } = https.address() as AddressInfo;
  const waits: string[] = [];
  const worker = runWorker({
    url: `wss://127.0.0.1:${port}`,
    name: 'ann',
    engine: stubEngine({ perSampleMs: 0, tamper: (value) => value }, 'ann'),
    connect: connectPinned(fingerprints),
    clock: manualClock(),
    random: () => 0,
    report: {
      joined: () => undefined,
      computed: () => undefined,
      note: () => undefined,
      waiting: (line) => void waits.push(line),
    },
    signal: new AbortController().signal,
  });
  await expect(worker).rejects.toThrow(sentence);
  await expect(worker).rejects.toBeInstanceOf(RefusedError);
  expect(waits).toEqual([]);
  server.close();
  https.close();
});

test.each([
  [
    'is not the one that was given',
    'https://127.0.0.1:1/',
    'AB'.repeat(32),
    /names the certificate CD:.*does not list/,
  ],
  ['cannot hold without https', 'http://127.0.0.1:1/', undefined, /a fingerprint needs https:/],
])(
  "a worker of the library is refused before it connects if its link's fingerprint %s",
  async (_, url, fingerprint, sentence) => {
    const worker = runLibraryWorker({
      link: `${url}?sha256=${'cd'.repeat(32)}#s3cret`,
      ...(fingerprint === undefined ? {} : { fingerprint }),
      engine: stubEngine({ perSampleMs: 0, tamper: (value) => value }, 'ann'),
    });
    await expect(worker).rejects.toThrow(sentence);
    await expect(worker).rejects.toBeInstanceOf(RefusedError);
  },
);

test('control characters in a close reason do not reach the terminal', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', (socket) => socket.close(4401, 'Wrong \u001b[2Jtoken\r\nAll is well.'));
  const { port } = server.address() as AddressInfo;
  const closed = await new Promise((resolve) => {
    const ignored = (): void => undefined;
    const onClose = (code: number, reason: string): void => resolve([code, reason]);
    connectWebSocket(`ws://127.0.0.1:${port}`, { onOpen: ignored, onFrame: ignored, onClose });
  });
  expect(closed).toEqual([4401, 'Wrong  [2Jtoken All is well.']);
  server.close();
});

/** Resolves when the connection is open; rejects with the reason if it is closed before. */
const opened = (connect: Connect, url: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const connection = connect(url, {
      onOpen: () => {
        connection.terminate();
        resolve();
      },
      onFrame: () => undefined,
      onClose: (_code, reason) => reject(new Error(reason)),
    });
  });

test('a host with several addresses is resolved anew each time, and each connection begins with the next one', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  // Another program has the port at the second address, and none at the third.
  const other = createHttpServer((_, response) => response.writeHead(404).end());
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.2', resolve));
  let lookups = 0;
  const addresses = ['127.0.0.2', '127.0.0.1', '127.0.0.3'];
  const connect = connectPinned(undefined, (host, _, callback) => {
    lookups++;
    expect(host).toBe('workers.example');
    callback(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    );
  });
  const url = `ws://workers.example:${port}`;
  await expect(opened(connect, url)).rejects.toThrow(
    'it answers 404: a web server without a coordinator at this path',
  );
  await opened(connect, url);
  await expect(opened(connect, url)).rejects.toThrow('404');
  expect(lookups).toBe(3);
  // All of them refuse: the reason names each.
  addresses.splice(0, 2, '127.0.0.4');
  await expect(opened(connect, url)).rejects.toThrow(
    new RegExp(`ECONNREFUSED 127.0.0.[34]:${port}, connect ECONNREFUSED 127.0.0.[34]:${port}`),
  );
  server.close();
  other.close();
});

test('a name for which no name server answers is asked for again, and the reason says so', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  let connections = 0;
  server.on('connection', () => void connections++);
  let lookups = 0;
  const late: (() => void)[] = [];
  const connect = connectPinned(
    undefined,
    (_host, _options, callback) => {
      const answer = (): void => callback(null, [{ address: '127.0.0.1', family: 4 }]);
      if (++lookups === 1) late.push(answer);
      else answer();
    },
    50,
  );
  const url = `ws://workers.example:${port}`;
  await expect(opened(connect, url)).rejects.toThrow(
    'no name server has answered for workers.example within 0.05 s',
  );
  // An answer that comes too late opens nothing.
  for (const answer of late) answer();
  await opened(connect, url);
  expect(connections).toBe(1);
  server.close();
});

test('a worker at a web server without a coordinator retries, and says once which path may be missing', async () => {
  const other = createHttpServer((_, response) => response.writeHead(404).end());
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  const leave = new AbortController();
  const problems: string[] = [];
  const reasons: string[] = [];
  const end = await runLibraryWorker({
    link: `127.0.0.1:${port}/#s3cret`,
    engine: stubEngine({ perSampleMs: 0, tamper: (value) => value }, 'ann'),
    signal: leave.signal,
    token: undefined,
    onProblem: (line) => problems.push(line),
    onEvent(event) {
      if (event.type !== 'waiting') return;
      reasons.push(event.reason);
      if (reasons.length === 2) leave.abort();
    },
  });
  expect(end).toBe('left');
  expect(reasons).toEqual(Array(2).fill('it answers 404: a web server without a coordinator at this path'));
  expect(problems).toEqual([
    `http://127.0.0.1:${port}/ answers 404: a web server without a coordinator at this path. If the coordinator is below a path of a ` +
      `server, add the path, as in http://127.0.0.1:${port}/train/.`,
  ]);
  other.close();
});

test.each([
  ['http://lab:3111/', 'connect ECONNREFUSED', null],
  ['http://lab:3111/', 'Unexpected server response: 503', null],
  ['https://lab/other/', 'it answers 200: a web server without a coordinator at this path', /^https:\/\/lab\/other\/ answers 200: .* as in https:\/\/lab\/train\/\.$/], // prettier-ignore
])('advice for %s, %s', (url, reason, advice) => {
  if (advice === null) expect(adviseOnPath(url, reason)).toBe(null);
  else expect(adviseOnPath(url, reason)).toMatch(advice);
});

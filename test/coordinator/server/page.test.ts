import { request } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir, type NetworkInterfaceInfo } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { printAddresses } from '../../../coordinator/report/addresses.ts';
import { reachableHosts } from '../../../coordinator/server/reachable-hosts.ts';
import { parseCoordinatorLink } from '../../../shared/protocol/coordinator-link.ts';
import { certificateFor, selfSignedCertificate } from '../../../coordinator/server/tls.ts';
import type { RunningServer, ServerOptions } from '../../../coordinator/server/http.ts';
import { startTestServer } from '../../support/test-server.ts';
import type { ConnectionEvents } from '../../../shared/protocol/transport.ts';
import { connectPinned } from '../../../worker-node/connect-websocket.ts';
import { fingerprints as parseFingerprints } from '../../../cli/options.ts';

const serve = (tls?: ServerOptions['tls']): Promise<RunningServer> =>
  startTestServer({
    maxFrameBytes: 1_000,
    tls,
    connect: (connection) => ({
      onFrame: () => undefined,
      onClose: () => connection.terminate(),
    }),
  });

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  secure = false,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, headers, rejectUnauthorized: false };
    (secure ? secureRequest : request)(options, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }),
      );
    })
      .on('error', reject)
      .end();
  });
}

describe('the served page', () => {
  let server: RunningServer;
  let html: string;
  beforeAll(async () => {
    server = await serve();
    html = (await get(server.port, '/')).body.toString();
  });
  afterAll(() => server.close());

  it('is not cached, except for files whose names contain a hash', async () => {
    expect((await get(server.port, '/')).headers['cache-control']).toBe('no-cache');
    const files = [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, file]) => file ?? '');
    expect(files.length).toBeGreaterThanOrEqual(3);
    for (const file of files) {
      expect(file).toMatch(/-[A-Z0-9]{8}\.(js|css|svg)$/);
      const { status, headers } = await get(server.port, `/${file}`);
      expect(status).toBe(200);
      expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
    }
  });

  it('is not sent again to a client that has it', async () => {
    const { etag } = (await get(server.port, '/')).headers;
    expect((await get(server.port, '/', { 'if-none-match': etag ?? '' })).status).toBe(304);
  });

  it.each([
    ['br', brotliDecompressSync],
    ['gzip', gunzipSync],
  ])('is compressed with %s', async (coding, decompress) => {
    const { headers, body } = await get(server.port, '/', { 'accept-encoding': coding });
    expect(headers['content-encoding']).toBe(coding);
    expect(headers['content-type']).toBe('text/html;charset=utf-8');
    expect(headers.vary).toBe('Accept-Encoding');
    expect(decompress(body).toString()).toBe(html);
  });

  it('has the security headers on every response', async () => {
    for (const path of ['/', '/nothing-here.js']) {
      const { headers } = await get(server.port, path);
      expect(headers['content-security-policy']).toContain("script-src 'self' 'wasm-unsafe-eval'");
      expect(headers['content-security-policy']).toContain("worker-src 'self';");
      expect(headers['cross-origin-opener-policy']).toBe('same-origin');
      expect(headers['cross-origin-embedder-policy']).toBe('require-corp');
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
  });
});

describe('https', () => {
  let cache: string;
  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'gradcast-https-'));
  });
  afterAll(() => rm(cache, { recursive: true }));
  const now = new Date('2026-06-01T00:00:00Z');
  const laterBy = (days: number): Date => new Date(now.getTime() + days * 86_400_000);

  it('reuses its self-signed certificate until it expires or an address changes, with a key that only the user can read', async () => {
    const made = await selfSignedCertificate(cache, ['192.168.1.20'], now);
    expect(made).toMatchObject({ selfSigned: true });
    expect(await selfSignedCertificate(cache, ['192.168.1.20'], laterBy(300))).toEqual(made);
    if (process.platform !== 'win32') {
      expect((await stat(join(cache, 'key.pem'))).mode & 0o077).toBe(0);
    }
    const onAnotherAddress = await selfSignedCertificate(cache, ['10.0.0.1'], now);
    expect(onAnotherAddress.fingerprint).not.toBe(made.fingerprint);
    const afterItsEnd = await selfSignedCertificate(cache, ['10.0.0.1'], laterBy(360));
    expect(afterItsEnd.fingerprint).not.toBe(onAnotherAddress.fingerprint);
  });

  it('serves the page, and workers that know the fingerprint', async () => {
    const tls = await selfSignedCertificate(cache, [], new Date());
    const server = await serve(tls);
    const url = `wss://127.0.0.1:${server.port}`;
    const tryToConnect = (fingerprints?: string[], ofLink?: string): Promise<string> =>
      new Promise((resolve) => {
        const events: ConnectionEvents = {
          onOpen() {
            resolve('open');
            connection.terminate();
          },
          onFrame: () => undefined,
          onClose: (_, reason) => resolve(reason),
        };
        const connection = connectPinned(fingerprints)(url, events, ofLink);
      });
    const other = tls.fingerprint.replace(/^../, (pair) => (pair === '00' ? '11' : '00'));
    expect((await get(server.port, '/', {}, true)).status).toBe(200);
    const plain = tls.fingerprint.replaceAll(':', '').toLowerCase();
    expect(await tryToConnect(parseFingerprints(plain))).toBe('open');
    expect(await tryToConnect(parseFingerprints(`${other}, ${plain}`))).toBe('open');
    expect(() => parseFingerprints(`${plain},`)).toThrow('64 hex digits');
    expect(await tryToConnect(undefined, tls.fingerprint)).toBe('open');
    expect(await tryToConnect([other, tls.fingerprint], tls.fingerprint)).toBe('open');
    expect(await tryToConnect(undefined, other)).toMatch(/fingerprint .*, not the one/);
    // The author of a link does not choose the certificate of a person who has chosen one.
    expect(await tryToConnect([other], tls.fingerprint)).toBe(
      `the link names the certificate ${tls.fingerprint}, which --fingerprint does not list`,
    );
    expect(await tryToConnect()).toMatch(/self-signed certificate.*--fingerprint/);
    expect(await tryToConnect([other])).toMatch(/fingerprint .*, not the one/);
    await server.close();
  });

  it('explains what is wrong with --cert and --key', async () => {
    const host = '127.0.0.1';
    const [cert, key] = [join(cache, 'certificate.pem'), join(cache, 'key.pem')];
    await expect(certificateFor({ host, cert }, cache, now)).rejects.toThrow(
      '--cert and --key must be used together.',
    );
    await expect(certificateFor({ host, cert: '/nowhere.pem', key }, cache, now)).rejects.toThrow(
      '/nowhere.pem',
    );
    await expect(certificateFor({ host, cert: key, key }, cache, now)).rejects.toThrow('Not a certificate');
    expect(await certificateFor({ host, cert, key }, cache, now)).toMatchObject({ selfSigned: false });
    expect(await certificateFor({ host }, cache, now)).toBeUndefined();
  });
});

describe('the addresses', () => {
  const LAN = ['ws://127.0.0.1:2718', 'ws://192.168.1.20:2718', 'ws://172.17.0.1:2718'];
  const printedLines = (
    urls: string[],
    served: Partial<Parameters<typeof printAddresses>[1]> = {},
    isSeen = false,
  ): string[] => {
    const lines: string[] = [];
    const report = { info: (line: string) => void lines.push(line), warn: () => undefined };
    printAddresses(urls, { workers: 0, ...served }, { commandLine: 'gradcast' }, report, isSeen);
    return lines;
  };

  it('come with a QR code in a terminal if other machines can reach them', () => {
    const lines = printedLines(LAN, { token: 's3 cret' }, true);
    expect(lines).toContain('Join in a browser:   http://192.168.1.20:2718/#s3%20cret');
    expect(lines.filter((line) => /^[█▀▄ ]+$/.test(line)).length).toBeGreaterThan(10);
    expect(printedLines(LAN).filter((line) => line.includes('█'))).toEqual([]);
    expect(printedLines(LAN, { token: 's3cret' }).join()).not.toContain('s3cret');
    expect(printedLines(['ws://127.0.0.1:1'], {}, true).filter((line) => line.includes('█'))).toEqual([]);
  });

  it('are the same link for browsers and for workers', () => {
    const lines = printedLines(LAN, { token: 's3cret' }, true).join('\n');
    expect(lines).toContain('\nJoin from a machine: gradcast worker http://192.168.1.20:2718/#s3cret\n');
    expect(lines).toContain('\nOnly watch:          http://192.168.1.20:2718/?watch#s3cret\n');
    expect(printedLines(LAN)).toContain('Only watch:          http://192.168.1.20:2718/?watch');
    expect(lines).not.toContain('ws://');
    const link = /gradcast worker (\S+)/.exec(lines)?.[1] ?? '';
    expect(parseCoordinatorLink(link)).toEqual({ url: 'ws://192.168.1.20:2718/', token: 's3cret' });
  });

  it('come with a hint if only this machine can join', () => {
    expect(printedLines(['ws://127.0.0.1:37181'], { workers: 2 })).toEqual([
      'Listening on http://127.0.0.1:37181',
      'Watch or join in a browser: http://127.0.0.1:37181/',
      'Only this machine can join. Add --host 0.0.0.0 --port 2718 to let other machines join.',
    ]);
    expect(printedLines(['ws://[::1]:2718'])).toContain(
      "Join from this machine: gradcast worker 'http://[::1]:2718/'",
    );
    expect(printedLines(LAN).join('\n')).not.toContain('Only this machine');
  });

  it('are all addresses of this machine, IPv6 ones only if the server listens on ::', () => {
    const address = (family: 'IPv4' | 'IPv6', address: string, internal = false): NetworkInterfaceInfo =>
      ({ family, address, internal }) as NetworkInterfaceInfo;
    const interfaces = {
      lo: [address('IPv4', '127.0.0.1', true), address('IPv6', '::1', true)],
      eth0: [address('IPv4', '192.0.2.7'), address('IPv6', '2001:db8::7'), address('IPv6', 'fe80::7')],
    };
    expect(reachableHosts('0.0.0.0', interfaces)).toEqual(['127.0.0.1', '192.0.2.7']);
    expect(reachableHosts('::', interfaces)).toEqual(['127.0.0.1', '192.0.2.7', '[::1]', '[2001:db8::7]']);
    expect(reachableHosts('2001:db8::7', interfaces)).toEqual(['[2001:db8::7]']);
  });
});

import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCoordinator } from '../../../coordinator/index.ts';
import { Endpoint } from '../../../coordinator/server/endpoint.ts';
import { startServer } from '../../../coordinator/server/http.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { systemClock } from '../../../shared/util/clock.ts';
import { testCoordinator, tinyTopology, type TestCoordinator } from '../../support/test-coordinator.ts';

let coordinator: TestCoordinator;
const get = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${coordinator.port}${path}`, init);
const withToken = (token: string): RequestInit => ({ headers: { Authorization: `Bearer ${token}` } });

beforeAll(async () => {
  coordinator = await testCoordinator(syntheticDigits({ seed: 1, trainCount: 8, testCount: 2 }), {
    topology: tinyTopology([28, 28, 1], 10),
    token: 'secret',
  });
});
afterAll(() => coordinator.close('done'));

test('/health answers without a token', async () => {
  const response = await get('/health');
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ status: 'ok', workers: 0 });
});

test('/ready says without a token whether workers can join, also while a run waits for them', async () => {
  const response = await get('/ready');
  expect([response.status, await response.json()]).toEqual([200, { status: 'ready', workers: 0 }]);
  const host = createCoordinator({ token: 'secret' });
  const server = createServer((request, answer) => void host.handleRequest(request, answer));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const without = await fetch(`http://127.0.0.1:${port}/ready`);
  expect([without.status, await without.json()]).toEqual([503, { status: 'no run', workers: 0 }]);
  expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  await host.close();
  server.close();
});

test('/metrics returns figures in Prometheus format, if the request has the token', async () => {
  const { metrics } = coordinator;
  metrics.epochStarted(1);
  metrics.stepFinished({
    epoch: 1,
    step: 1,
    steps: 2,
    loss: 0.5,
    metrics: { accuracy: 0.75 },
    samplesPerSecond: 10,
    workers: 0,
    batch: { samples: 8, lossSum: 4, metrics: [6] },
    dataWaitMs: 0,
    weights: { step: 1 as Step, source: { averagedWeights: new Float32Array(1) } },
  });
  metrics.epochFinished({
    epoch: 1,
    loss: 0.5,
    accuracy: 0.75,
    val_loss: 0.25,
    val_accuracy: 0.875,
    seconds: 1,
    samples_per_second: 8,
    workers: 1,
    data: 'drawn-digits',
  });
  for (const scheme of ['bearer', 'BEARER', 'Bearer ']) {
    const init = { headers: { Authorization: `${scheme} secret` } };
    expect((await get('/metrics', init)).status, scheme).toBe(200);
  }
  for (const init of [{}, withToken('guess')]) {
    const response = await get('/metrics', init);
    expect(response.status).toBe(401);
    expect(await response.text()).not.toContain('gradcast_');
  }
  const response = await get('/metrics', withToken('secret'));
  expect(response.headers.get('content-type')).toContain('text/plain');
  const lines = (await response.text()).split('\n');
  for (const line of [
    'gradcast_epoch 1',
    'gradcast_loss{split="train"} 0.5',
    'gradcast_accuracy{split="test"} 0.875',
    'gradcast_steps_total 1',
    'gradcast_samples_total 8',
    'gradcast_workers 0',
    'gradcast_observers 0',
    'gradcast_workers_refused_total 0',
    'gradcast_step_seconds_count 0',
  ]) {
    expect(lines).toContain(line);
  }
});

test('/metrics without a token needs a host name of this machine, so that no page of another site can read it', async () => {
  const open = await testCoordinator(syntheticDigits({ seed: 1, trainCount: 8, testCount: 2 }), {
    topology: tinyTopology([28, 28, 1], 10),
  });
  const statusFor = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: open.port, path: '/metrics', headers: { Host: host } };
      request(options, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
  for (const host of ['127.0.0.1', `localhost:${open.port}`, '[::1]:2718', hostname()]) {
    expect(await statusFor(host), host).toBe(200);
  }
  for (const host of ['rebound.example', 'localhost.evil.example:80', 'a b']) {
    expect(await statusFor(host), host).toBe(403);
  }
  await open.close('done');
});

test('each port has the name that it was opened with', async () => {
  const endpoint: Endpoint = new Endpoint({
    path: '/',
    pageDir: 'dist/page',
    hasToken: false,
    clock: systemClock(globalThis),
    routes: () => (asked, response) => response.end(endpoint.hostRule(asked).host),
  });
  const first = await startServer(endpoint, { host: 'localhost', port: 0 });
  const second = await startServer(endpoint, { host: '127.0.0.1', port: 0 });
  const nameAt = async ({ port }: { readonly port: number }): Promise<string> =>
    (await fetch(`http://localhost:${port}/`)).text();
  expect([await nameAt(first), await nameAt(second)]).toEqual(['localhost', '127.0.0.1']);
  await Promise.all([first.close(), second.close()]);
});

test('only GET and HEAD are answered', async () => {
  expect((await get('/health', { method: 'POST' })).status).toBe(405);
  const head = await get('/health', { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
});

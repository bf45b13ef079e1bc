import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { packAndInstall, type PackedPackage } from '../package/packed.ts';

let packed: PackedPackage;
let server: ChildProcess | null = null;
let address = '';
beforeAll(async () => {
  packed = await packAndInstall();
  const folder = join(packed.folder, 'express');
  cpSync('examples/express', folder, { recursive: true });
  server = spawn(process.execPath, ['server.js'], {
    cwd: folder,
    env: { ...process.env, PORT: '0', EPOCHS: '4' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: server.stdout! });
  address = await new Promise((resolve) => lines.once('line', resolve));
}, 240_000);
afterAll(async () => {
  if (server !== null) {
    const ended = once(server, 'exit');
    server.kill();
    await ended;
  }
  packed.remove();
});

const upgradeStatus = (path: string): Promise<number | undefined> =>
  new Promise((resolve) => {
    const socket = new WebSocket(address.replace('http', 'ws') + path);
    socket.on('open', () => {
      resolve(101);
      socket.terminate();
    });
    socket.on('unexpected-response', (_request, { statusCode }) => resolve(statusCode));
    socket.on('error', () => undefined);
  });

test('the Express example trains below /train, beside its own routes', async () => {
  const page = await fetch(`${address}/train/`);
  expect(page.status).toBe(200);
  expect(page.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  const redirect = await fetch(`${address}/train`, { redirect: 'manual' });
  expect([redirect.status, redirect.headers.get('location')]).toEqual([308, 'train/']);
  expect((await fetch(`${address}/train/gradcast.js`)).headers.get('content-type')).toBe('text/javascript');
  expect((await fetch(`${address}/train/health`)).status).toBe(200);
  const own = await fetch(address);
  expect(own.headers.has('content-security-policy')).toBe(false);
  expect(own.headers.has('cross-origin-embedder-policy')).toBe(false);
  for (const path of ['/nothing', '/train/nothing', '/health'])
    expect((await fetch(address + path)).status, path).toBe(404);
  expect(await upgradeStatus('/train/')).toBe(101);
  expect(await upgradeStatus('/other')).toBe(404);
  const state = async () =>
    (await (await fetch(address)).json()) as { epochs: { accuracy: number }[]; isDone: boolean };
  await expect.poll(state, { timeout: 60_000 }).toMatchObject({ isDone: true });
  const { epochs } = await state();
  expect(epochs).toHaveLength(4);
  expect(epochs.at(-1)!.accuracy).toBeGreaterThan(0.7);
});

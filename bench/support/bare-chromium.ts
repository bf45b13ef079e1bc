import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';
import { killOnExit } from './children.ts';
import { GPU_IN_SOFTWARE, chromiumPath } from '../../test/support/chromium.ts';

/**
 * Headless Chromium that nobody watches over: Playwright has every frame of a WebSocket encoded and handed to itself,
 * which takes as long as half a gradient step.
 */
export interface BareChromium {
  /** A tab that is left alone. */
  open(address: string): Promise<BareTab>;
  close(): void;
}

export interface BareTab {
  /** From now on, of Chrome's DevTools protocol; no domain is enabled that reports by itself. */
  attach(): Promise<AttachedTab>;
  close(): Promise<void>;
}

export interface AttachedTab {
  evaluate<Value>(expression: string): Promise<Value>;
  mouse(type: 'mousePressed' | 'mouseReleased' | 'mouseMoved', x: number, y: number): Promise<void>;
}

export async function launchBareChromium(): Promise<BareChromium> {
  if (chromiumPath === null) throw new Error('There is no Chromium here.');
  const profile = mkdtempSync(join(tmpdir(), 'gradcast-chromium-'));
  const child = killOnExit(
    spawn(
      chromiumPath,
      [
        ...GPU_IN_SOFTWARE,
        '--headless',
        '--remote-debugging-port=0',
        `--user-data-dir=${profile}`,
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    ),
  );
  const devTools = await new Promise<string>((resolve, reject) => {
    createInterface(child.stderr).on('line', (line) => {
      const port = /^DevTools listening on ws:\/\/([^/]+)\//.exec(line)?.[1];
      if (port !== undefined) resolve(`http://${port}`);
    });
    child.once('exit', () => reject(new Error('Chromium did not start.')));
  });
  return {
    async open(address) {
      const answer = await fetch(`${devTools}/json/new?${encodeURIComponent(address)}`, { method: 'PUT' });
      const { id, webSocketDebuggerUrl } = (await answer.json()) as Record<string, string>;
      return {
        attach: () => attach(webSocketDebuggerUrl ?? ''),
        close: async () => {
          await fetch(`${devTools}/json/close/${id}`);
        },
      };
    },
    close() {
      child.once('exit', () => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }));
      child.kill();
    },
  };
}

async function attach(url: string): Promise<AttachedTab> {
  const socket = new WebSocket(url);
  await new Promise((resolve) => socket.once('open', resolve));
  const waiting = new Map<number, (result: unknown) => void>();
  socket.on('message', (data: Buffer) => {
    const { id, result } = JSON.parse(data.toString()) as { id: number; result: unknown };
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  let asked = 0;
  const ask = (method: string, params: object): Promise<unknown> =>
    new Promise((resolve) => {
      waiting.set(++asked, resolve);
      socket.send(JSON.stringify({ id: asked, method, params }));
    });
  return {
    async evaluate<Value>(expression: string) {
      const answer = (await ask('Runtime.evaluate', { expression, returnByValue: true })) as {
        readonly result: { readonly value: Value };
        readonly exceptionDetails?: { readonly text: string };
      };
      if (answer.exceptionDetails)
        throw new Error(`${expression}: ${JSON.stringify(answer.exceptionDetails)}`);
      return answer.result.value;
    },
    async mouse(type, x, y) {
      await ask('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
    },
  };
}

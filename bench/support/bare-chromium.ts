import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';
import { killOnExit } from './children.ts';
import { GPU_IN_SOFTWARE, chromiumPath } from '../../test/support/chromium.ts';

/**
 * Headless Chromium without Playwright, which intercepts every WebSocket frame; that takes as long as half a gradient
 * step.
 */
export interface BareChromium {
  /** Opens a tab without attaching to it. */
  open(address: string): Promise<BareTab>;
  /** Ends it and removes its profile. */
  close(): Promise<void>;
}

export interface BareTab {
  /** Connects with Chrome's DevTools protocol. No domain that sends events is enabled. */
  attach(): Promise<AttachedTab>;
  close(): Promise<void>;
}

export interface AttachedTab {
  /** Value of an expression, or of the promise that it gives. */
  evaluate<Value>(expression: string): Promise<Value>;
  mouse(type: 'mousePressed' | 'mouseReleased' | 'mouseMoved', x: number, y: number): Promise<void>;
}

export async function launchBareChromium(): Promise<BareChromium> {
  if (chromiumPath === null) throw new Error('No Chromium is installed.');
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
    async close() {
      const exited = once(child, 'exit');
      child.kill();
      await exited;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

async function attach(url: string): Promise<AttachedTab> {
  const socket = new WebSocket(url);
  await new Promise((resolve) => socket.once('open', resolve));
  const pending = new Map<number, (result: unknown) => void>();
  socket.on('message', (data: Buffer) => {
    const { id, result } = JSON.parse(data.toString()) as { id: number; result: unknown };
    pending.get(id)?.(result);
    pending.delete(id);
  });
  let lastId = 0;
  const call = (method: string, params: object): Promise<unknown> =>
    new Promise((resolve) => {
      pending.set(++lastId, resolve);
      socket.send(JSON.stringify({ id: lastId, method, params }));
    });
  return {
    async evaluate<Value>(expression: string) {
      const answer = (await call('Runtime.evaluate', {
        expression,
        returnByValue: true,
        awaitPromise: true,
      })) as {
        readonly result: { readonly value: Value };
        readonly exceptionDetails?: { readonly text: string };
      };
      if (answer.exceptionDetails)
        throw new Error(`${expression}: ${JSON.stringify(answer.exceptionDetails)}`);
      return answer.result.value;
    },
    async mouse(type, x, y) {
      await call('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
    },
  };
}

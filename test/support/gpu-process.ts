import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { GpuMessage, GpuRequests } from './serve-gpu.ts';

/** Process that computes on a GPU, one request at a time. */
export interface GpuProcess {
  compute<Kind extends keyof GpuRequests>(
    kind: Kind,
    request: GpuRequests[Kind][0],
  ): Promise<GpuRequests[Kind][1]>;
  close(): Promise<void>;
}

/** Starts a process with WebGPU. @param env with which it finds its GPU */
export async function openGpuProcess(env: NodeJS.ProcessEnv): Promise<GpuProcess> {
  const child = fork(fileURLToPath(new URL('gpu-process.js', import.meta.url)), {
    // Typed arrays are not JSON.
    serialization: 'advanced',
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`The process with WebGPU has ended with ${String(signal ?? code)}.`);
  });
  ended.catch(() => undefined);
  const receive = async (): Promise<unknown> => {
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [
      { readonly answer: unknown } | { readonly failed: string },
    ];
    if ('failed' in message) throw new Error(message.failed);
    return message.answer;
  };
  await receive();
  return {
    async compute(kind, request) {
      const message: GpuMessage = { kind, request };
      child.send(message);
      return (await receive()) as never;
    },
    async close() {
      if (child.exitCode !== null) return;
      const exit = once(child, 'exit');
      child.kill();
      await exit;
    },
  };
}

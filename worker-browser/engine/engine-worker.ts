import type { ToEngine } from '../../shared/engine/remote-engine/messages.ts';
import { serveEngine } from '../../shared/engine/remote-engine/server.ts';
import type { BackendName } from './backend-candidates.ts';
import type { OpenedBackend } from './backends/opened-backend.ts';

// Program of an engine's Web Worker, which can be ended in the middle of a step and then frees all its memory.
const scope = globalThis as unknown as DedicatedWorkerGlobalScope;

const serve = serveEngine({
  post: (message, transfer) => scope.postMessage(message, transfer),
  open: async (backend: BackendName) => ({ ...(await openBackend(backend)), why: 'asked for' }),
});
scope.onmessage = ({ data }: MessageEvent<ToEngine>) => serve(data);

async function openBackend(backend: BackendName): Promise<OpenedBackend> {
  switch (backend) {
    case 'wasm':
      return (await import('./backends/wasm.ts')).openWasm();
    case 'webgl':
      return (await import('./backends/webgl.ts')).openWebGl();
    case 'webgpu':
      return (await import('./backends/webgpu.ts')).openWebGpu();
  }
}

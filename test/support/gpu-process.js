// Process with WebGPU, started by gpu-process.ts. Plain JavaScript, since it registers the hooks for TypeScript.
import { register } from 'node:module';

register('../../scripts/typescript-hooks.js', import.meta.url);
const { serveGpu } = await import('./serve-gpu.ts');
await serveGpu();

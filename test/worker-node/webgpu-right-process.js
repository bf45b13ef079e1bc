// Process with WebGPU for webgpu-right.long.test.ts: it runs the named scenario and sends what came of it. Plain JavaScript, since it
// registers the hooks for TypeScript.
import { register } from 'node:module';

register('../../scripts/typescript-hooks.js', import.meta.url);
const { SCENARIOS } = await import('./webgpu-right-scenarios.ts');
process.send?.(await SCENARIOS[process.argv[2]](), () => process.exit(0));

// Process of an engine for the table of conformance, started by cpu-engines.ts with `wasm` or `native`: it sends what the engine
// is, or why there is none, then an answer for each case. Plain JavaScript, since it registers the hooks for TypeScript.
import { register } from 'node:module';

register('../../../scripts/typescript-hooks.js', import.meta.url);
const { serveCases } = await import('./serve-cases.ts');
await serveCases(process.argv[2]);

#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

// Node 22 and later keep what they have compiled; the variable is for threads and processes that this one starts. Where no folder can be
// written, or Node is older, each start compiles.
const compileCache = module.enableCompileCache?.().directory;
if (compileCache !== undefined) process.env.NODE_COMPILE_CACHE = compileCache;

const programFile = fileURLToPath(import.meta.url);
const isClone = existsSync(new URL('../scripts/', import.meta.url));
/** Whether another gradcast has started this process: it has installed and built everything. */
const hasParent = process.env.GRADCAST_LEASH !== undefined;

/** Number of listeners of the command that ends in order at a signal; see cli/interrupt.ts. */
const signals = { owners: 0 };
const EXIT_INTERRUPTED = 130;

/** Ends a process whose command does not listen for signals, or not yet. */
function onSignal(signal) {
  if (signals.owners > 0) return;
  // The first process of a container, which the kernel does not end by a signal without a listener.
  if (process.pid === 1) process.exit(EXIT_INTERRUPTED);
  // A library that cleans up at a signal has a listener too, and acts if it is the only one.
  process.off(signal, onSignal);
  process.kill(process.pid, signal);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal);

let isEnding = false;
// A closed pipe, as in `gradcast coordinator | head`, ends the program as the end of its terminal does.
process.stdout.on('error', () => {
  if (signals.owners === 0) process.exit();
  const signal = hasParent ? 'SIGTERM' : 'SIGHUP';
  if (!isEnding) process.emit(signal, signal);
  isEnding = true;
});
process.stderr.on('error', () => undefined);

/** Rebuilds a clone whose sources have changed since the last build, so that the options are those of the sources. */
async function rebuildIfChanged() {
  if (!isClone || hasParent) return;
  const { isBuilt, stamp } = await import('../scripts/is-built.js');
  if (!existsSync(stamp) || isBuilt()) return;
  const { isInstalled } = await import('../scripts/install.js');
  if (!isInstalled(false)) return;
  const { ensureBuilt } = await import('../scripts/build.js');
  await ensureBuilt();
}

/** Installs and builds what a clone lacks. A package is built already. */
async function prepare() {
  if (!isClone || hasParent) return;
  const { ensureInstalled } = await import('../scripts/install.js');
  await ensureInstalled();
  const { ensureBuilt } = await import('../scripts/build.js');
  await ensureBuilt();
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
try {
  await rebuildIfChanged();
  // An import would look for exports with a second parser, which costs Node 20 30 ms.
  const { main } = createRequire(import.meta.url)('./cli.cjs');
  const distDir = fileURLToPath(new URL('../dist/', import.meta.url));
  await main(process.argv.slice(2), { version, programFile, distDir, prepare, signals });
} catch (error) {
  console.error(`gradcast: ${error instanceof Error ? error.message : String(error)}`);
  if (process.env.GRADCAST_DEBUG) console.error(error);
  process.exitCode = 1;
}
// A handle that was left open must not keep a finished command alive.
setTimeout(() => process.exit(), 2_000).unref();

#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const programFile = fileURLToPath(import.meta.url);
const isClone = existsSync(new URL('../scripts/', import.meta.url));
let isEnding = false;
// The reader of the output is gone, as in `gradcast coordinator | head`: the same as a request to end, in order.
process.stdout.on('error', () => {
  if (process.listenerCount('SIGTERM') === 0) process.exit();
  if (!isEnding) process.emit('SIGTERM', 'SIGTERM');
  isEnding = true;
});
process.stderr.on('error', () => undefined);

/** Builds a clone whose sources have changed since the last build, so that the options are those of the sources. */
async function rebuildIfChanged() {
  if (!isClone || process.env.GRADCAST_LEASH !== undefined) return;
  const { isBuilt, stamp } = await import('../scripts/is-built.js');
  if (!existsSync(stamp) || isBuilt()) return;
  const { isInstalled } = await import('../scripts/install.js');
  if (!isInstalled(false)) return;
  const { ensureBuilt } = await import('../scripts/build.js');
  await ensureBuilt();
}

/** The code of the commands. A package is built already, and so is the clone of a process that another one started. */
async function load() {
  if (isClone && process.env.GRADCAST_LEASH === undefined) {
    const { ensureInstalled } = await import('../scripts/install.js');
    await ensureInstalled();
    const { ensureBuilt } = await import('../scripts/build.js');
    await ensureBuilt();
  }
  const { createCommands } = await import('../dist/cli/commands.js');
  return createCommands({
    programFile,
    distDir: fileURLToPath(new URL('../dist/', import.meta.url)),
    version,
  });
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
try {
  await rebuildIfChanged();
  const { main } = await import('./cli.cjs');
  await main(process.argv.slice(2), { version, load });
} catch (error) {
  console.error(`gradcast: ${error instanceof Error ? error.message : String(error)}`);
  if (process.env.GRADCAST_DEBUG) console.error(error);
  process.exitCode = 1;
}
// The command is over. Should anything have been forgotten that keeps the process alive, it must not be waited for.
setTimeout(() => process.exit(), 2_000).unref();

#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(import.meta.url);
let told = false;
// Whoever read what is said here has gone, as in `gradcast coordinator | head`: as good as a request to end, in order.
process.stdout.on('error', () => {
  if (process.listenerCount('SIGTERM') === 0) process.exit();
  if (!told) process.emit('SIGTERM', 'SIGTERM');
  told = true;
});
process.stderr.on('error', () => undefined);
try {
  // In a clone of the repository: whatever is missing or out of date is seen to first. A package is built already, and whoever
  // holds the leash of this process has seen to it.
  if (existsSync(new URL('../scripts/', import.meta.url)) && process.env.GRADCAST_LEASH === undefined) {
    const { ensureInstalled } = await import('../scripts/install.js');
    await ensureInstalled();
    const { ensureBuilt } = await import('../scripts/build.js');
    await ensureBuilt();
  }
  const { Command } = await import('commander');
  const { addCoordinatorCommands } = await import('../dist/coordinator/main.js');
  const { addWorkerCommands, connectorFor, localWorkers, prepareEngine } =
    await import('../dist/worker-node/main.js');
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const installed = file.includes(`${sep}node_modules${sep}`);

  const cli = new Command('gradcast')
    .description('Trains one model on many machines: GPU boxes, CPU cores and browser tabs, over WebSockets.')
    .version(version)
    // An option belongs to the command that it stands behind: `engine` and `engine probe` share the names of some.
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for the options and examples)');
  addCoordinatorCommands(cli, {
    command: [process.execPath, file],
    typed: installed ? 'gradcast' : `node ${relative(process.cwd(), file)}`,
    pageDir: fileURLToPath(new URL('../dist/page/', import.meta.url)),
    version,
    workersHere: (engine, options) => localWorkers(engine, file, options),
    // The two sides meet only here and on the wire.
    prepareEngine: (engine, signal) => prepareEngine(engine, signal, file),
    connectorFor,
  });
  const threadFile = fileURLToPath(new URL('../dist/worker-node/thread/engine-thread.js', import.meta.url));
  addWorkerCommands(cli, file, threadFile);

  await cli.parseAsync();
} catch (error) {
  console.error(`gradcast: ${error instanceof Error ? error.message : String(error)}`);
  if (process.env.GRADCAST_DEBUG) console.error(error);
  process.exitCode = 1;
}
// The command is over. Should anything have been forgotten that keeps the process alive, it must not be waited for.
setTimeout(() => process.exit(), 2_000).unref();

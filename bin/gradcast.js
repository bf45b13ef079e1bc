#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { addCoordinatorCommands } from '../dist/coordinator/main.js';
import { addWorkerCommands } from '../dist/worker-node/main.js';

const file = fileURLToPath(import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const installed = file.includes(`${sep}node_modules${sep}`);

const cli = new Command('gradcast')
  .description('Trains one model on many machines: GPU boxes, CPU cores and browser tabs, over WebSockets.')
  .version(version)
  .showHelpAfterError('(add --help for the options and examples)');
addCoordinatorCommands(cli, {
  command: [process.execPath, file],
  typed: installed ? 'gradcast' : `node ${relative(process.cwd(), file)}`,
  pageDir: fileURLToPath(new URL('../dist/page/', import.meta.url)),
  version,
});
addWorkerCommands(cli, file);

try {
  await cli.parseAsync();
} catch (error) {
  console.error(`gradcast: ${error instanceof Error ? error.message : String(error)}`);
  if (process.env.GRADCAST_DEBUG) console.error(error);
  process.exitCode = 1;
}

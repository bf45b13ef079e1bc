#!/usr/bin/env node
// `npm create gradcast my-project -- --template table` is `gradcast init my-project --template table`.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const folder = join(createRequire(import.meta.url).resolve('gradcast/package.json'), '..');
const program = join(folder, 'bin/gradcast.js');
spawn(process.execPath, [program, 'init', ...process.argv.slice(2)], { stdio: 'inherit' }).on(
  'exit',
  (code) => (process.exitCode = code ?? 1),
);

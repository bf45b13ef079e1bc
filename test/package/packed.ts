import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildTypes } from '../../scripts/build-types.js';
import { withLock } from '../../scripts/lock.js';

/** The compiler keeps the holder of the lock from updating it. */
const LOCK_POLL_MS = 2_000;

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The package as npm packs it, installed in a folder of its own. */
export interface PackedPackage {
  /** File of the package. */
  readonly tarball: string;
  /** Folder whose programs can import gradcast. */
  readonly folder: string;
  /** Paths in the package. */
  readonly files: readonly string[];
  /** Runs a program in the folder. @throws Error with its output if it fails */
  run(name: string, source: string): string;
  remove(): void;
}

/** Packs this clone's build and installs it. Its dependencies are links to those of the clone, so that no registry is needed. */
export const packAndInstall = (): Promise<PackedPackage> =>
  // Test files run at the same time, and the types have one folder.
  withLock(join(root, 'dist/.packing'), () => undefined, packUnlocked, LOCK_POLL_MS);

function packUnlocked(): PackedPackage {
  buildTypes();
  const folder = mkdtempSync(join(tmpdir(), 'gradcast-package-'));
  const npm = ['npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const [packed] = JSON.parse(runProgram(npm, root)) as [{ filename: string; files: { path: string }[] }];
  const tarball = join(folder, packed.filename);
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, 'gradcast'), { recursive: true });
  runProgram(['tar', '-xzf', tarball, '-C', join(modules, 'gradcast'), '--strip-components', '1'], folder);
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.') && !name.startsWith('gradcast')) {
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
    }
  }
  // npm makes programs executable.
  chmodSync(join(modules, 'gradcast/bin/gradcast.js'), 0o755);
  mkdirSync(join(modules, '.bin'));
  symlinkSync('../gradcast/bin/gradcast.js', join(modules, '.bin/gradcast'));
  writeFileSync(join(folder, 'package.json'), '{ "name": "importer", "type": "module", "private": true }');
  return {
    tarball,
    folder,
    files: packed.files.map(({ path }) => path),
    run(name, source) {
      writeFileSync(join(folder, name), source);
      return runProgram([process.execPath, name], folder);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** @returns stdout @throws Error with the program's output if it fails */
export function runProgram([program, ...args]: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(program ?? '', args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw error ?? new Error(`${program} ${args.join(' ')}:\n${stdout}${stderr}`);
  return stdout;
}

/** Public entries by the names that programs import them with. */
export const entries: Readonly<Record<string, string>> = {
  gradcast: 'coordinator/index.ts',
  'gradcast/worker': 'worker-node/index.ts',
  'gradcast/browser': 'worker-browser/index.ts',
  'gradcast/protocol': 'shared/protocol/index.ts',
};

export const readSource = (path: string): string => readFileSync(join(root, path), 'utf8');

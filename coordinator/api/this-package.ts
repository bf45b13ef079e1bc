import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import type { RunProgram } from '../commands/run-session.ts';
import type { LocalWorkerCount } from '../pool/local-workers.ts';

/** The parts of this package that a run starts. */
export interface ThisPackage extends RunProgram {
  readonly version: string;
  /** Workers, and their threads, that compute fastest on this machine, which it may measure for some seconds. */
  readonly chooseWorkerCount: (options: {
    readonly engine: EngineChoice;
    readonly threads: number | undefined;
    readonly isExact: boolean;
    readonly note: (line: string) => void;
    readonly signal: AbortSignal;
  }) => Promise<LocalWorkerCount>;
}

let found: ThisPackage | null = null;

/** Finds the package that this file is part of: its program, page, engines and version. @throws Error if it is not built */
export function thisPackage(): ThisPackage {
  found ??= findPackage(dirname(fileURLToPath(import.meta.url)));
  return found;
}

function findPackage(from: string): ThisPackage {
  const root = findRoot(from);
  const distDir = join(root, 'dist');
  const threadFile = join(distDir, 'worker-node/thread/engine-thread.js');
  if (!existsSync(threadFile))
    throw new Error(
      `The build of gradcast in ${distDir} is missing. Reinstall the package, or run npm start in a clone.`,
    );
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const command = [process.execPath, join(root, 'bin/gradcast.js')] as const;
  return {
    version,
    command,
    pageDir: join(distDir, 'page'),
    async openCoordinatorEngine(choice) {
      const { openThreadedEngine } = await import('../../worker-node/thread/threaded-engine.ts');
      return openThreadedEngine({ file: threadFile, choice, note: () => undefined });
    },
    async chooseWorkerCount(options) {
      const { chooseWorkerCountHere } = await import('../../worker-node/autotune/choose-worker-count.ts');
      return chooseWorkerCountHere(command, options);
    },
  };
}

function findRoot(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'bin/gradcast.js'))) return folder;
    if (folder === dirname(folder)) throw new Error('The files of gradcast are not complete. Reinstall it.');
  }
}

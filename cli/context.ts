import { existsSync } from 'node:fs';
import type { SignalOwners } from './interrupt.ts';
import { delimiter, join, relative, sep } from 'node:path';
import type { CoordinatorEngine } from '../coordinator/integrity/reference-engine.ts';
import type { RunProgram } from '../coordinator/commands/run-session.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { WorkerCount, WorkerCountOptions } from '../worker-node/autotune/choose-worker-count.ts';

/** The parts of the program that bin/gradcast.js knows. */
export interface CliEnvironment {
  readonly version: string;
  /** bin/gradcast.js, which the processes of workers and engines run too. */
  readonly programFile: string;
  /** Folder of the build. */
  readonly distDir: string;
  /** Installs and builds what a clone lacks. A command calls it before it imports any module dynamically. */
  readonly prepare: () => Promise<void>;
  /** Counts the listeners of commands that end in order at a signal. */
  readonly signals: SignalOwners;
}

/** The environment of every command. */
export interface CliContext extends CliEnvironment, RunProgram {
  /** The command as a person types it: gradcast, npx gradcast, or node and the program's path. */
  readonly commandLine: string;
  /** A picture of a digit, relative to the working directory; missing in a package. */
  readonly samplePicture: string | undefined;
  /** Program of an engine's thread. */
  readonly threadFile: string;
  /** Opens an engine of the person's choice in a thread of this process. */
  readonly openEngine: (choice: EngineChoice) => Promise<CoordinatorEngine>;
}

export function createContext(environment: CliEnvironment): CliContext {
  const { programFile, distDir } = environment;
  const isInstalled = programFile.includes(`${sep}node_modules${sep}`);
  const picture = join(programFile, '../../docs/images/seven.png');
  const threadFile = join(distDir, 'worker-node/thread/engine-thread.js');
  return {
    ...environment,
    command: [process.execPath, programFile],
    commandLine: isInstalled ? installedCommand() : `node ${relative(process.cwd(), programFile)}`,
    samplePicture: existsSync(picture) ? relative(process.cwd(), picture) : undefined,
    pageDir: join(distDir, 'page'),
    threadFile,
    openCoordinatorEngine: (choice) => openInThread(threadFile, choice),
    openEngine: (choice) => openInThread(threadFile, choice),
  };
}

/** The command of an installed package. A project's own programs are not on the PATH of a person's shell, where npx finds them. */
function installedCommand(): string {
  const folders = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'));
  return folders.some((folder) => existsSync(join(folder, 'gradcast'))) ? 'gradcast' : 'npx gradcast';
}

async function openInThread(file: string, choice: EngineChoice | 'cpu'): Promise<CoordinatorEngine> {
  const { openThreadedEngine } = await import('../worker-node/thread/threaded-engine.ts');
  return openThreadedEngine({ file, choice, note: () => undefined });
}

/**
 * Offers WebGPU in one line to the person of a machine that shows a GPU and lacks an engine for it, if the choice of the engine is left
 * to gradcast.
 */
export async function offerWebGpu(
  { engine }: { readonly engine: EngineChoice },
  commandLine: string,
  print: (line: string) => void,
): Promise<void> {
  if (engine !== 'auto') return;
  const { webGpuOffer } = await import('../worker-node/engine/webgpu/system.ts');
  const line = webGpuOffer(commandLine);
  if (line !== null) print(line);
}

/**
 * Number of local workers of a command; `auto` for the fastest of this machine. Offers WebGPU first, unless there are none or no
 * measurement may choose it.
 */
export async function resolveWorkerCount(
  { workers, ...options }: WorkerCountOptions & { readonly workers: number | 'auto' },
  { command, commandLine }: Pick<CliContext, 'command' | 'commandLine'>,
): Promise<WorkerCount> {
  if (workers !== 0 && options.isExact !== true) await offerWebGpu(options, commandLine, options.note);
  if (workers !== 'auto') return { workers, threads: options.threads };
  const { chooseWorkerCountHere } = await import('../worker-node/autotune/choose-worker-count.ts');
  return chooseWorkerCountHere(command, options);
}

import { existsSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import type { EvaluateFlags } from './run-evaluate.ts';
import type { CliContext } from './context.ts';
import type { StatusFlags } from '../coordinator/observe/read-status.ts';
import type { TrainFlags } from './run-train.ts';
import type { Connect } from '../shared/protocol/transport.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { EngineFlags, InstallFlags, BenchmarkFlags } from './run-engine.ts';
import type { WorkerFlags } from './run-worker.ts';

/** Where the program is, and how it is started. */
export interface ProgramFiles {
  /** bin/gradcast.js, which the processes of workers and engines run too. */
  readonly programFile: string;
  /** Folder of the build. */
  readonly distDir: string;
  readonly version: string;
}

/** What each command does. Results are exit codes unless stated otherwise. */
export type Commands = ReturnType<typeof createCommands>;

/** Connects the commands with the coordinator and the Node worker, which know nothing of each other. */
export function createCommands({ programFile, distDir, version }: ProgramFiles) {
  const installed = programFile.includes(`${sep}node_modules${sep}`);
  const commandLine = installed ? 'gradcast' : `node ${relative(process.cwd(), programFile)}`;
  const picture = join(programFile, '../../docs/images/seven.png');
  const worker = {
    programFile,
    commandLine,
    threadFile: join(distDir, 'worker-node/thread/engine-thread.js'),
  };
  const program: CliContext = {
    command: [process.execPath, programFile],
    commandLine,
    samplePicture: existsSync(picture) ? relative(process.cwd(), picture) : undefined,
    pageDir: join(distDir, 'page'),
    version,
    async chooseWorkerCount(choice, { note, signal, threads }) {
      const { readMachineProfile, chooseWorkerCount: workersHere } =
        await import('../worker-node/autotune/choose-worker-count.ts');
      const machine = readMachineProfile([process.execPath, programFile]);
      return workersHere({ ...machine, threads: threads ?? machine.threads, choice, note, signal });
    },
    async prepareEngine(engine, signal) {
      if (engine !== 'native') return;
      const { requireNativeEngine } = await import('./run-engine.ts');
      await requireNativeEngine(worker, signal);
    },
    async openCoordinatorEngine(kind) {
      const { openThreadedEngine } = await import('../worker-node/thread/threaded-engine.ts');
      return openThreadedEngine({
        file: worker.threadFile,
        choice: kind,
        note: () => undefined,
      });
    },
    createConnector: connectorFor,
  };
  return {
    async train(flags: TrainFlags): Promise<number> {
      const { runTrain } = await import('./run-train.ts');
      return runTrain(flags, program);
    },
    async evaluate(modelDir: string, flags: EvaluateFlags): Promise<number> {
      const { runEvaluate } = await import('./run-evaluate.ts');
      return runEvaluate(modelDir, flags, program);
    },
    /** @returns lines for the person */
    async status(url: string, flags: StatusFlags): Promise<string[]> {
      const { readStatus } = await import('../coordinator/observe/read-status.ts');
      return readStatus(url, flags, program);
    },
    async worker(url: string, flags: WorkerFlags): Promise<number> {
      const { runWorkerCommand } = await import('./run-worker.ts');
      return runWorkerCommand(url, flags, worker);
    },
    async engine(flags: EngineFlags): Promise<number> {
      const { runEngine } = await import('./run-engine.ts');
      return runEngine(flags, worker);
    },
    async engineInstall(flags: InstallFlags): Promise<number> {
      const { runInstall } = await import('./run-engine.ts');
      return runInstall(flags, worker);
    },
    async engineProbe(flags: BenchmarkFlags): Promise<void> {
      const { runBenchmark } = await import('./run-engine.ts');
      await runBenchmark(flags);
    },
    async enginePace(batch: number): Promise<void> {
      const { serveBenchmark } = await import('../worker-node/autotune/serve-benchmark.ts');
      await serveBenchmark(batch, process.stdin, (line) => process.stdout.write(`${line}\n`));
    },
    async predict(modelDir: string, files: readonly string[], engine: EngineChoice): Promise<void> {
      const { predict } = await import('../worker-node/predict/predict.ts');
      await predict(modelDir, files, engine, (line) => process.stdout.write(`${line}\n`));
    },
  };
}

/** How a worker connects to a coordinator; with a fingerprint, only to the one that has that certificate. */
async function connectorFor(fingerprint: string | undefined): Promise<Connect> {
  const { connectPinned } = await import('../worker-node/connect-websocket.ts');
  return connectPinned(fingerprint);
}

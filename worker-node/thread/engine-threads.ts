import { parallelEngine } from '../../shared/engine/remote-engine/parallel-engine.ts';
import {
  openThreadedEngine,
  type EngineThread,
  type ThreadedEngine,
  type ThreadOptions,
} from './threaded-engine.ts';

export interface EngineThreadsOptions extends ThreadOptions {
  /** Threads of a WebAssembly engine, each with an engine of its own. Native TensorFlow and GPUs have one thread here. @default 1 */
  readonly threads?: number | undefined;
}

/**
 * Opens one engine that computes in several threads: all read the weights in one shared memory, each computes a part of every shard,
 * and one gradient is the result. It is lost if one of its threads is.
 * @throws Error with a sentence if an engine cannot be opened; EngineLostError if a thread ends meanwhile. No thread is left then.
 * @example
 * const { engine, close } = await openEngineThreads({ file, choice: 'wasm', threads: 2, note: console.log });
 */
export async function openEngineThreads(options: EngineThreadsOptions): Promise<ThreadedEngine> {
  const { threads = 1 } = options;
  const open = (count: number): Promise<EngineThread[]> =>
    openAll(Array.from({ length: count }, () => ({ ...options, choice: 'wasm' })));
  if (threads > 1 && options.choice === 'wasm') return combine(await open(threads));
  const first = await openThreadedEngine(options);
  if (threads === 1 || first.engine.info.backend !== 'wasm') return first;
  try {
    return combine([first, ...(await open(threads - 1))]);
  } catch (error) {
    await first.close();
    throw error;
  }
}

/** Opens all engines, or none. */
async function openAll(options: readonly ThreadOptions[]): Promise<EngineThread[]> {
  const settled = await Promise.allSettled(options.map((each) => openThreadedEngine(each)));
  const failed = settled.find((result) => result.status === 'rejected');
  const opened = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  if (failed === undefined) return opened;
  await Promise.all(opened.map(({ close }) => close()));
  throw failed.reason;
}

/** @param threads at least one */
function combine(threads: readonly EngineThread[]): ThreadedEngine {
  const engines = threads.map(({ engine }) => engine);
  const [first] = threads;
  if (first === undefined) throw new Error('There is no engine.');
  return {
    engine: parallelEngine({
      engines,
      info: { ...first.engine.info, threads: threads.length },
      allocateShared: (bytes) => new SharedArrayBuffer(bytes),
    }),
    why: first.why,
    lost: AbortSignal.any(threads.map(({ lost }) => lost)),
    collectGarbage() {
      for (const thread of threads) thread.collectGarbage();
    },
    async close() {
      await Promise.all(threads.map(({ close }) => close()));
    },
  };
}

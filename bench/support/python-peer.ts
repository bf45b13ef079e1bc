import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { killOnExit } from './children.ts';

/** A script of bench/peers/, which speaks the line protocol of its lines.py. */
export interface PythonBaseline {
  readonly child: ChildProcess;
  /** What it said of itself: versions by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** Takes steps; the milliseconds of each. */
  readonly run: (steps: number) => Promise<number[]>;
}

/**
 * @param threads of the process, for what asks the environment
 * @throws Error if it ends before it is ready
 */
export async function startPythonBaseline(
  python: string,
  script: string,
  args: readonly number[],
  threads: number,
): Promise<PythonBaseline> {
  const child = killOnExit(
    spawn(python, [`bench/peers/${script}`, ...args.map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...process.env,
        TF_NUM_INTRAOP_THREADS: String(threads),
        OMP_NUM_THREADS: String(threads),
        PYTHONDONTWRITEBYTECODE: '1',
      },
    }),
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const line: IteratorResult<string, unknown> = await lines.next();
    if (line.done === true) throw new Error(`${script} ended before it had answered`);
    return JSON.parse(line.value) as unknown;
  };
  await once(child, 'spawn');
  const versions = (await next()) as Record<string, string>;
  return {
    child,
    versions,
    run: async (steps) => {
      child.stdin.write(`run ${steps}\n`);
      return (await next()) as number[];
    },
  };
}

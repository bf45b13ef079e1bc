import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { writeDigits } from '../support/idx-bytes.ts';
import { spawnGradcast, type WorkerProcess } from '../support/worker-process.ts';

/** A folder for runs of the real command line, with a data set of IDX files that is small enough for quick runs. */
export interface Runs {
  readonly scratch: string;
  readonly data: string;
  readonly dataset: ReturnType<typeof syntheticDigits>;
  readonly gradcast: (...args: string[]) => WorkerProcess;
  /** Starts `gradcast train` with two WebAssembly workers and the folder `out` of `scratch`. */
  readonly train: (out: string, ...args: string[]) => WorkerProcess;
  readonly history: (out: string) => Promise<EpochRecord[]>;
  /** History of a run without its times. */
  readonly timelessHistory: (out: string) => Promise<EpochRecord[]>;
  readonly remove: () => Promise<void>;
}

export async function makeRuns(): Promise<Runs> {
  const scratch = await mkdtemp(join(tmpdir(), 'gradcast-e2e-'));
  const data = join(scratch, 'digits');
  const dataset = syntheticDigits({ seed: 3, trainCount: 640, testCount: 200 });
  await writeDigits(data, dataset);
  const gradcast = (...args: string[]): WorkerProcess =>
    spawnGradcast(args, { ...process.env, MNIST_DIR: undefined, GRADCAST_TOKEN: undefined });
  const history = async (out: string): Promise<EpochRecord[]> => {
    const lines = (await readFile(join(scratch, out, 'history.jsonl'), 'utf8')).trim().split('\n');
    return lines.map((line) => JSON.parse(line) as EpochRecord);
  };
  return {
    scratch,
    data,
    dataset,
    gradcast,
    history,
    train: (out, ...args) =>
      gradcast(
        ...['train', '--data', data, '--out', join(scratch, out)],
        ...['--engine', 'wasm', '--workers', '2', ...args],
      ),
    timelessHistory: async (out) =>
      (await history(out)).map((record) => ({ ...record, seconds: 0, samples_per_second: 0 })),
    remove: () => rm(scratch, { recursive: true, force: true }),
  };
}

import { existsSync } from 'node:fs';
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { writeDigits } from '../support/idx-bytes.ts';
import { describeSlurm, startSlurm, type Slurm } from '../support/slurm.ts';
import { tinyTopology } from '../support/test-coordinator.ts';
import { gradcast, spawnGradcast } from '../support/worker-process.ts';

const SCRIPTS = ['coordinator.sbatch', 'workers.sbatch'];
const EPOCHS = 60;
/** Least time of a step while Slurm decides, so that the run does not end before its workers are preempted, however fast they are. */
const STEP_MS = 50;
/** Time limit of a step of the test on a busy machine. */
const POLL = { timeout: 120_000, interval: 250 };

describeSlurm(() => {
  let slurm: Slurm;
  let options: string[];
  beforeAll(async () => {
    slurm = await startSlurm();
    for (const script of SCRIPTS) {
      const path = fileURLToPath(new URL(`../../deploy/slurm/${script}`, import.meta.url));
      await copyFile(path, join(slurm.folder, script));
    }
    await writeFile(
      join(slurm.folder, 'gradcast'),
      `#!/bin/sh\nexec ${process.execPath} ${gradcast} "$@"\n`,
      { mode: 0o755 },
    );
    const data = join(slurm.folder, 'digits');
    await writeDigits(data, syntheticDigits({ seed: 3, trainCount: 1_920, testCount: 200 }));
    const model = join(slurm.folder, 'model.json');
    await writeFile(model, JSON.stringify(tinyTopology([28, 28, 1], 10)));
    await writeFile(join(slurm.folder, 'slow'), '');
    await writeFile(
      join(slurm.folder, 'task.ts'),
      `import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
const onStepEnd = () => (existsSync('slow') ? setTimeout(${STEP_MS}) : undefined);
export default { callbacks: [{ onStepEnd }] };
`,
    );
    options = [
      '--data',
      data,
      '--model',
      model,
      '--exact',
      '--epochs',
      `${EPOCHS}`,
      '--batch-size',
      '64',
      '--seed',
      '5',
    ];
  });
  afterAll(() => slurm.stop());

  const history = async (folder: string): Promise<EpochRecord[]> => {
    const file = join(slurm.folder, folder, 'history.jsonl');
    if (!existsSync(file)) return [];
    const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
    return lines.map((line) => ({
      ...(JSON.parse(line) as EpochRecord),
      ...{ seconds: 0, samples_per_second: 0, workers: 0 },
    }));
  };
  const untilEpoch = (count: number): Promise<void> =>
    expect.poll(async () => (await history('run')).length, POLL).toBeGreaterThanOrEqual(count);
  const statesOf = (job: string) => expect.poll(() => slurm.states(job), POLL);
  const log = (name: string): Promise<string> => readFile(join(slurm.folder, name), 'utf8').catch(() => '');
  /** Submits a script of deploy/slurm/. @returns its number */
  const submit = (...args: string[]): Promise<string> =>
    slurm.command('sbatch', ['--parsable', ...args], {
      RUN: 'run',
      GRADCAST: join(slurm.folder, 'gradcast'),
      GRADCAST_ENGINE: 'wasm',
    });
  const field = async (job: string, name: string): Promise<string | undefined> =>
    new RegExp(`\\b${name}=(\\S+)`).exec(await slurm.command('scontrol', ['show', 'job', job]))?.[1];

  test('an exact run has the bits of a run without events if workers are preempted, cancelled and added, and its coordinator is killed', async () => {
    const reference = spawnGradcast(
      ['train', ...options, '--workers', '2', '--engine', 'wasm', '--out', join(slurm.folder, 'reference')],
      { ...process.env, GRADCAST_TOKEN: undefined, MNIST_DIR: undefined },
    );
    expect(await reference.ended, reference.output()).toBe(0);

    onTestFailed(async () => {
      const logs = (await readdir(slurm.folder, { recursive: true })).filter((name) => name.endsWith('.log'));
      for (const name of logs) console.error(`${name}:\n${(await log(name)).slice(-4_000)}`);
    });

    // Workers wait for the coordinator's address.
    const workers = await submit('--array=1-3', '--cpus-per-task=1', '--exclude=n1', 'workers.sbatch');
    await statesOf(workers).toEqual(['RUNNING', 'RUNNING', 'RUNNING']);
    const coordinator = await submit(
      ...['--partition=high', '--nodelist=n1', 'coordinator.sbatch'],
      ...['task.ts', ...options, '--checkpoint-every', '50'],
    );
    await untilEpoch(1);

    // The run waits without workers, and goes on when they are back.
    const preempting = await slurm.command('sbatch', [
      ...['--parsable', '--partition=high', '--nodelist=n2,n3', '--nodes=2', '--exclusive'],
      ...['--output=/dev/null', '--wrap', 'sleep 1'],
    ]);
    await statesOf(workers).toEqual(['PENDING', 'PENDING', 'PENDING']);
    await statesOf(preempting).toEqual([]);
    await slurm.startNow(workers, ['RUNNING', 'RUNNING', 'RUNNING']);
    await untilEpoch(2);

    // The signal before the time limit: the run is saved and queued again.
    await slurm.command('scancel', ['--batch', '--signal=USR1', coordinator]);
    await statesOf(coordinator).toEqual(['PENDING']);
    const saved = (await history('run')).length;
    await slurm.startNow(coordinator, ['RUNNING']);
    await untilEpoch(saved + 1);

    const { pid } = JSON.parse(await log('run/lock.json')) as { pid: number };
    process.kill(pid, 'SIGKILL');
    await statesOf(coordinator).toEqual(['PENDING']);
    const more = await submit('--array=4-5', '--cpus-per-task=1', 'workers.sbatch');
    await slurm.command('scancel', [`${workers}_1`]);
    await rm(join(slurm.folder, 'slow'));
    await slurm.startNow(coordinator, ['RUNNING']);
    await untilEpoch(EPOCHS);
    await statesOf(`${coordinator},${workers},${more}`).toEqual([]);

    const output = await log(`gradcast-coordinator-${coordinator}.log`);
    expect(await field(coordinator, 'JobState'), output).toBe('COMPLETED');
    expect(await field(coordinator, 'Restarts')).toBe('2');
    for (const job of [`${workers}_2`, `${workers}_3`, `${more}_4`, `${more}_5`]) {
      expect(await field(job, 'ExitCode'), await log(`gradcast-worker-${job.replace('_', '-')}.log`)).toBe(
        '0:0',
      );
    }
    expect(await history('run')).toEqual(await history('reference'));
    const weights = async (folder: string): Promise<Buffer> => {
      const model = join(slurm.folder, folder, 'model');
      const name = (await readdir(model)).find((file) => /^weights-.*\.bin$/.test(file)) ?? '';
      return readFile(join(model, name));
    };
    expect((await weights('run')).equals(await weights('reference'))).toBe(true);

    // One that starts too late ends at once.
    const late = await submit('--array=6', '--cpus-per-task=1', 'workers.sbatch');
    await expect.poll(() => field(late, 'JobState'), POLL).toBe('COMPLETED');
    expect(await log(`gradcast-worker-${late}-6.log`)).toContain('finished');
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { spawnGradcast, waitForOutput, type WorkerProcess } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { scratch, data, timelessHistory, train, remove } = await makeRuns();
afterAll(remove);

/** Starts a command whose options are variables, as a scheduler does. */
const start = (command: string, options: Readonly<Record<string, string>>): WorkerProcess =>
  spawnGradcast([command], {
    ...process.env,
    MNIST_DIR: undefined,
    ...Object.fromEntries(Object.entries(options).map(([name, value]) => [`GRADCAST_${name}`, value])),
  });

const FAILING_TASK = `export default {
  epochs: 2,
  callbacks: [{ onEpochEnd() { if (process.env.FAILS) throw new Error('the disk of the callback is full'); } }],
};`;

/** Command lines of all processes, which every user of the machine can read. */
function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    });
}

describe('a run under a scheduler', () => {
  test('that is stopped and started again goes on with the same workers, and ends for workers that come too late', async () => {
    const dir = join(scratch, 'requeued');
    const file = join(dir, 'url');
    const token = 'token-that-is-in-no-process-list';
    const shared = { TOKEN: token, URL_FILE: file };
    const settings = {
      ...shared,
      ...{ DATA: data, RESUME_OR_START: dir, HOST: '127.0.0.1', PORT: '0', EPOCHS: '4', EXACT: '1' },
    };
    const worker = start('worker', { ...shared, WORKERS: '2', ENGINE: 'wasm', NAME: 'node', QUIET: '0' });
    await waitForOutput(worker, /Waiting for the address of a coordinator in .*url: it does not exist/);
    const first = start('coordinator', settings);
    await waitForOutput(first, /\+ node-2 joined/);
    const lines = commandLines();
    expect(lines.filter((line) => line.includes('--name node-'))).toHaveLength(2);
    expect(lines.filter((line) => line.includes(token))).toEqual([]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const address = await readFile(file, 'utf8');
    expect(address).toMatch(new RegExp(`^http://127.0.0.1:\\d+/#${token}\n$`));

    await waitForOutput(first, /Epoch 1\/4: 5\/5/);
    first.kill('SIGTERM');
    expect(await first.ended, first.output()).toBe(130);
    expect(first.output()).toContain('The same command resumes it.');
    await waitForOutput(worker, /The coordinator was stopped and may be started again/);
    expect(await readFile(file, 'utf8')).toBe(address);

    const second = start('coordinator', settings);
    expect(await second.ended, second.output()).toBe(0);
    expect(second.output()).toMatch(/Resuming .* after step \d+, in epoch [2-4] of 4/);
    expect(await worker.ended, worker.output()).toBe(0);
    expect(await readFile(file, 'utf8')).toBe('finished\n');

    const third = start('coordinator', settings);
    expect(await third.ended, third.output()).toBe(0);
    expect(third.output()).toContain('is finished (4 of 4 epochs)');
    const late = start('worker', shared);
    expect(await late.ended, late.output()).toBe(0);
    expect(late.output()).toContain(`The run is finished, as ${file} says.`);

    const reference = train('reference', '--epochs', '4', '--exact');
    expect(await reference.ended, reference.output()).toBe(0);
    expect((await timelessHistory('requeued')).map(({ loss, val_loss }) => [loss, val_loss])).toEqual(
      (await timelessHistory('reference')).map(({ loss, val_loss }) => [loss, val_loss]),
    );
  });

  test('that ends with an error is waited for by its workers', async () => {
    const task = join(scratch, 'failing.mjs');
    await writeFile(task, FAILING_TASK);
    const file = join(scratch, 'failing-url');
    const worker = start('worker', { URL_FILE: file, WORKERS: '1', ENGINE: 'wasm' });
    const coordinate = (fails: string): WorkerProcess =>
      spawnGradcast(
        ...([
          ['coordinator', task, '--data', data, '--resume-or-start', join(scratch, 'failing')],
          { ...process.env, MNIST_DIR: undefined, FAILS: fails, GRADCAST_URL_FILE: file, GRADCAST_PORT: '0' },
        ] as const),
      );
    const failed = coordinate('1');
    expect(await failed.ended, failed.output()).toBe(1);
    expect(failed.output()).toContain('the disk of the callback is full');
    await waitForOutput(worker, /The run has ended with an error/);
    const again = coordinate('');
    expect(await again.ended, again.output()).toBe(0);
    expect(await worker.ended, worker.output()).toBe(0);
    expect(worker.output()).toContain('The run is finished.');
  });

  test('ends within the grace period if a worker does not finish its step, and keeps the steps before', async () => {
    const dir = join(scratch, 'frozen');
    const file = join(scratch, 'frozen-url');
    const settings = { DATA: data, RESUME_OR_START: dir, HOST: '127.0.0.1', PORT: '0', EPOCHS: '10000' };
    const worker = start('worker', { URL_FILE: file, WORKERS: '1', ENGINE: 'wasm' });
    const run = start('coordinator', { ...settings, URL_FILE: file });
    await waitForOutput(run, /Epoch 2\/10000: 5 steps/);
    worker.kill('SIGSTOP');
    run.kill('SIGTERM');
    // Long before the coordinator gives up a silent worker.
    expect(await run.ended, run.output()).toBe(130);
    expect(readdirSync(join(dir, 'checkpoints')).length).toBeGreaterThan(0);
    const next = start('coordinator', settings);
    await waitForOutput(next, /Resuming .* after step ([5-9]|\d\d)/);
    next.kill('SIGTERM');
    expect(await next.ended, next.output()).toBe(130);
    worker.kill('SIGCONT');
    worker.kill('SIGTERM');
    expect(await worker.ended, worker.output()).toBe(130);
  });

  test('begins anew in a folder that a killed process left before its first checkpoint', async () => {
    const dir = join(scratch, 'begun');
    await mkdir(dir);
    const settings = { DATA: data, HOST: '127.0.0.1', PORT: '0', WORKERS: '1', ENGINE: 'wasm', EPOCHS: '1' };
    await writeFile(join(dir, 'config.json'), '{}\n');
    const refused = start('train', { ...settings, OUT: dir });
    expect(await refused.ended, refused.output()).toBe(1);
    expect(refused.output()).toContain('holds a run already');
    const run = start('train', { ...settings, RESUME_OR_START: dir });
    expect(await run.ended, run.output()).toBe(0);
  });

  test('resumes with the same optimizer, schedule and model options as those of its first start', async () => {
    const dir = join(scratch, 'options');
    const options = [
      '--optimizer',
      'adam',
      '--schedule',
      'cosine',
      '--warmup-steps',
      '3',
      '--batch-size',
      '64',
    ];
    const settings = [
      ...['train', '--data', data, '--resume-or-start', dir, '--workers', '1', '--engine', 'wasm'],
      ...['--class-weights', '0:2', '--metrics', 'accuracy', '--checkpoint-every', '1', ...options],
    ];
    const env = { ...process.env, MNIST_DIR: undefined };
    const first = spawnGradcast([...settings, '--epochs', '10000'], env);
    await waitForOutput(first, /Epoch 2\/10000: 10 steps/);
    first.kill('SIGTERM');
    expect(await first.ended, first.output()).toBe(130);
    const second = spawnGradcast([...settings, '--epochs', '10000'], env);
    await waitForOutput(second, /Resuming .* in epoch \d+ of 10000/);
    second.kill('SIGINT');
    expect(await second.ended, second.output()).toBe(130);
    // Settings that the run does not have are an error, not ignored.
    const other = spawnGradcast([...settings, '--epochs', '10000', '--seed', '5'], env);
    expect(await other.ended, other.output()).toBe(1);
    expect(other.output()).toContain('--seed 5 (the run has 1337)');
  });
});

import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadCheckpoint } from '../../coordinator/run/checkpoint.ts';
import { loadModel } from '../../coordinator/run/model-folder.ts';
import { gradcast as program, spawnProgram, type WorkerProcess } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { scratch, data, gradcast, remove } = await makeRuns();
afterAll(remove);

/** Whether this user may mount a file system. */
function canMount(): boolean {
  try {
    execFileSync('unshare', ['-Urm', 'sh', '-c', 'mount -t tmpfs none /mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs gradcast on a disk of its own with these mount options. Its files are copied to `out` after the run. A checkpoint
 * of the default model has 7.2 MB, the model 2.4 MB.
 */
async function runOnDisk(name: string, mountOptions: string, ...args: string[]): Promise<WorkerProcess> {
  const disk = join(scratch, `${name}-disk`);
  const out = join(scratch, name);
  await mkdir(disk);
  const script = `
    disk=$1; out=$2; options=$3; shift 3
    mount -t tmpfs -o "$options" none "$disk" || exit 99
    "$@" --out "$disk/run"
    code=$?
    mkdir -p "$out"
    [ -d "$disk/run" ] && cp -r "$disk/run/." "$out"
    exit $code`;
  return spawnProgram(
    [
      ...(['unshare', '-Urm', 'sh', '-c', script, 'sh', disk, out, mountOptions] as const),
      ...[process.execPath, program, 'train', '--data', data, '--engine', 'wasm', '--workers', '1', ...args],
    ],
    { ...process.env, MNIST_DIR: undefined, GRADCAST_TOKEN: undefined },
  );
}

describe.skipIf(!canMount())('on a disk of its own', () => {
  test('a run on an almost full disk warns, keeps its last good checkpoint and saves its model', async () => {
    const run = await runOnDisk('narrow', 'size=14m', '--epochs', '2');
    expect(await run.ended, run.output()).toBe(0);
    expect(
      run.output().match(/No new checkpoint: \S+ could not be written: the disk is full\./g),
    ).toHaveLength(1);
    const out = join(scratch, 'narrow');
    expect(await readdir(join(out, 'checkpoints'))).toEqual(['checkpoint-000000000.bin']);
    expect((await loadCheckpoint(join(out, 'checkpoints'), () => undefined)).position.steps).toBe(0);
    const { metadata } = await loadModel(out);
    const history = (await readFile(join(out, 'history.jsonl'), 'utf8')).trim().split('\n');
    expect(history).toHaveLength(2);
    expect(metadata).toMatchObject({
      epochs: 2,
      val_accuracy: (JSON.parse(history[1]!) as { val_accuracy: number }).val_accuracy,
    });
  });

  test('a run whose model does not fit ends with exit code 1 and can be resumed from its checkpoint', async () => {
    const run = await runOnDisk('full', 'size=9m', '--epochs', '1');
    expect(await run.ended, run.output()).toBe(1);
    expect(run.output()).toMatch(/gradcast: The model of epoch 1 is not saved in .*: the disk is full\./);
    expect(run.output()).not.toContain('Use it:');
    const out = join(scratch, 'full');
    expect(await readdir(join(out, 'model'))).toEqual([]);
    const resumed = gradcast(
      ...['train', '--resume', out, '--data', data, '--engine', 'wasm', '--workers', '1'],
    );
    expect(await resumed.ended, resumed.output()).toBe(0);
    expect((await loadModel(out)).metadata.epochs).toBe(1);
  });

  test('the error on a read-only disk says that it is read-only', async () => {
    const run = await runOnDisk('read-only', 'size=9m,ro');
    expect(await run.ended, run.output()).toBe(1);
    expect(run.output()).toMatch(
      /gradcast: The folder \S+\/run cannot be made: the file system is read-only\. Choose another with --out\./,
    );
  });
});

test.runIf(process.platform === 'linux')('a folder that cannot be created is an error at once', async () => {
  const run = gradcast('train', '--data', data, '--out', '/proc/x/run', '--engine', 'wasm', '--workers', '1');
  expect(await run.ended, run.output()).toBe(1);
  expect(run.output()).toMatch(/The folder \/proc\/x\/run cannot be made: .*\. Choose another with --out\./);
});

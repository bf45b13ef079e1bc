import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  checkpointName,
  decodeCheckpoint,
  encodeCheckpoint,
  loadCheckpoint,
  saveCheckpoint,
  type Checkpoint,
} from '../../../coordinator/run/checkpoint.ts';
import { CheckpointWriter, type CheckpointReason } from '../../../coordinator/run/checkpoint-writer.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { fullDisk } from '../../support/full-disk.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { checkProperty } from '../../support/property.ts';

let dir: string;
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'gradcast-checkpoint-'))));
afterEach(() => rm(dir, { recursive: true, force: true }));

const checkpoint = (steps: number): Checkpoint => ({
  position: { epoch: 2, step: 3, steps },
  tally: { samples: 12, lossSum: 3.25, metrics: [7], seconds: 1.5 },
  job: exampleJob,
  vectors: {
    weights: Float32Array.of(steps, -2, 1e-38, 1e-45, 3.4e38, -0),
    meanSquareGradient: Float32Array.of(1, 2, 3, 4, 5, 6),
  },
});
const files = async (): Promise<string[]> => (await readdir(dir)).sort();

describe('a checkpoint', () => {
  it('is decoded to the same bits', () => {
    const read = decodeCheckpoint(encodeCheckpoint(checkpoint(9)));
    expect(read).toEqual(checkpoint(9));
    expect(Object.keys(read.vectors)).toEqual(['weights', 'meanSquareGradient']);
  });

  it('keeps the sum of a metric that is not defined', () => {
    const { tally, ...rest } = checkpoint(9);
    const state = { ...rest, tally: { ...tally, metrics: [7, NaN] } };
    expect(decodeCheckpoint(encodeCheckpoint(state)).tally.metrics).toEqual([7, NaN]);
  });

  it('is rejected if it is truncated or changed anywhere', () => {
    const whole = encodeCheckpoint(checkpoint(9));
    checkProperty(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        expect(() => decodeCheckpoint(whole.subarray(0, at))).toThrow(/checksum|not a checkpoint/);
        const changed = Buffer.from(whole);
        changed[at] = changed[at]! ^ change;
        expect(() => decodeCheckpoint(changed)).toThrow(/checksum|not a checkpoint/);
      }),
      { seed: 1 },
    );
  });
});

it('a checkpoint that could not be decoded again is not encoded', () => {
  const { tally, ...rest } = checkpoint(9);
  expect(() => encodeCheckpoint({ ...rest, tally: { ...tally, lossSum: Infinity } })).toThrow();
});

describe('a folder of checkpoints', () => {
  it('keeps the last three, and no file of a write that was killed', async () => {
    await writeFile(join(dir, 'checkpoint-000000007.bin.1234567'), 'half written');
    for (const steps of [5, 10, 100, 1000]) {
      await saveCheckpoint(dir, checkpoint(steps).position, encodeCheckpoint(checkpoint(steps)));
    }
    expect(await files()).toEqual([10, 100, 1000].map((n) => `checkpoint-${String(n).padStart(9, '0')}.bin`));
    expect(await loadCheckpoint(dir, () => undefined)).toEqual(checkpoint(1000));
  });

  it('loads the newest whole checkpoint, and warns of newer ones', async () => {
    for (const steps of [1, 2, 3]) {
      await saveCheckpoint(dir, checkpoint(steps).position, encodeCheckpoint(checkpoint(steps)));
    }
    const [, second, third] = (await files()).map((file) => join(dir, file));
    await truncate(third!, 100);
    const bytes = await readFile(second!);
    bytes[bytes.length - 40]! ^= 1;
    await writeFile(second!, bytes);
    await writeFile(join(dir, 'checkpoint-000000009.bin.123'), 'half written');
    const warnings: string[] = [];
    expect(await loadCheckpoint(dir, (line) => warnings.push(line))).toEqual(checkpoint(1));
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain('checkpoint-000000003.bin cannot be used (its checksum is wrong');
  });

  it('keeps new checkpoints beside damaged ones of later steps', async () => {
    for (const steps of [7, 8, 9]) await writeFile(join(dir, `checkpoint-00000000${steps}.bin`), 'damaged');
    for (const steps of [1, 2, 3, 4]) {
      await saveCheckpoint(dir, checkpoint(steps).position, encodeCheckpoint(checkpoint(steps)));
      expect(await loadCheckpoint(dir, () => undefined)).toEqual(checkpoint(steps));
    }
    expect((await files()).map((file) => Number(file.slice(11, 20)))).toEqual([2, 3, 4, 7, 8, 9]);
  });

  it('without a checkpoint is an error with a sentence', async () => {
    await expect(loadCheckpoint(dir, () => undefined)).rejects.toThrow('There is no checkpoint in');
    await expect(loadCheckpoint(join(dir, 'nothing'), () => undefined)).rejects.toThrow('no checkpoint');
  });
});

describe('a path that is not a regular file', () => {
  it.skipIf(process.platform === 'win32')(
    'is skipped with a warning: a pipe, a folder, a link to one',
    async () => {
      await saveCheckpoint(dir, checkpoint(1).position, encodeCheckpoint(checkpoint(1)));
      execFileSync('mkfifo', [join(dir, 'checkpoint-000000002.bin')]);
      await mkdir(join(dir, 'checkpoint-000000003.bin'));
      await symlink('checkpoint-000000002.bin', join(dir, 'checkpoint-000000004.bin'));
      await symlink('nothing', join(dir, 'checkpoint-000000005.bin'));
      const warnings: string[] = [];
      expect(await loadCheckpoint(dir, (line) => warnings.push(line))).toEqual(checkpoint(1));
      expect(warnings.map((line) => /-0*(\d)\.bin (.*)$/.exec(line)?.slice(1))).toEqual([
        ['5', 'cannot be used (the file or a folder above it does not exist).'],
        ['4', 'cannot be used (it is not a regular file).'],
        ['3', 'cannot be used (it is a folder).'],
        ['2', 'cannot be used (it is not a regular file).'],
      ]);
      // The resumed run writes past them, and its own checkpoints are not removed in their place.
      const last: number[] = [];
      for (const steps of [2, 3, 4, 5, 6]) {
        await saveCheckpoint(dir, checkpoint(steps).position, encodeCheckpoint(checkpoint(steps))).catch(
          () => undefined,
        );
        last.push((await loadCheckpoint(dir, () => undefined)).position.steps);
      }
      expect(last).toEqual([1, 1, 1, 5, 6]);
    },
  );
});

describe('values that are not finite', () => {
  it.each([NaN, Infinity, -Infinity])('are neither encoded nor decoded: %s', (value) => {
    const bad = { ...checkpoint(3), vectors: { ...checkpoint(3).vectors, other: Float32Array.of(1, value) } };
    expect(() => encodeCheckpoint(bad)).toThrow(
      `the state of this step cannot be saved: value 1 of its other is ${value}.`,
    );
    // Such a checkpoint of an earlier version.
    const bytes = encodeCheckpoint({ ...bad, vectors: { ...bad.vectors, other: Float32Array.of(1, 2) } });
    bytes.writeFloatLE(value, bytes.length - 32 - 4);
    createHash('sha256')
      .update(bytes.subarray(0, -32))
      .digest()
      .copy(bytes, bytes.length - 32);
    expect(() => decodeCheckpoint(bytes)).toThrow(`value 1 of its other is ${value}`);
  });

  it('do not replace the last good checkpoint', async () => {
    await saveCheckpoint(dir, checkpoint(1).position, encodeCheckpoint(checkpoint(1)));
    const vectors = { weights: Float32Array.of(1, NaN) };
    const warnings: string[] = [];
    const writer = new CheckpointWriter({
      dir,
      every: { steps: 1 },
      job: exampleJob,
      vectors,
      clock: manualClock(),
      warn: (line) => warnings.push(line),
    });
    await writer.record('stop', checkpoint(2).position, checkpoint(2).tally);
    expect(warnings).toEqual([expect.stringContaining('value 1 of its weights is NaN')]);
    expect((await loadCheckpoint(dir, () => undefined)).position.steps).toBe(1);
  });
});

describe('CheckpointWriter', () => {
  const writer = (every: { steps: number } | { ms: number }, folder = dir) => {
    const clock = manualClock();
    const warnings: string[] = [];
    const { job, vectors, tally } = checkpoint(0);
    const made = new CheckpointWriter({
      dir: folder,
      every,
      job,
      vectors,
      clock,
      warn: (line) => warnings.push(line),
    });
    const at = (when: CheckpointReason, steps: number, lossSum = tally.lossSum): Promise<void> =>
      made.record(when, { epoch: 1, step: steps, steps }, { ...tally, lossSum });
    return { at, clock, warnings };
  };
  const stepsOf = async (): Promise<number[]> => (await files()).map((file) => parseInt(file.slice(11), 10));

  it('writes at an interval of steps, after an epoch and at the end', async () => {
    const { at } = writer({ steps: 3 });
    for (const steps of [1, 2, 3]) await at('step', steps);
    await at('epoch', 4);
    expect(await stepsOf()).toEqual([3, 4]);
    await at('step', 5);
    await at('stop', 5);
    expect(await stepsOf()).toEqual([3, 4, 5]);
  });

  it('removes checkpoints of later steps after a return to an earlier step', async () => {
    const { at, warnings } = writer({ steps: 1 });
    for (const steps of [1, 2, 3]) await at('epoch', steps);
    // There is no checkpoint of a later step, so nothing is written.
    await at('rewound', 3, 0);
    expect((await loadCheckpoint(dir, () => undefined)).tally.lossSum).not.toBe(0);
    await at('rewound', 2, 7);
    expect(await stepsOf()).toEqual([1, 2]);
    expect(await loadCheckpoint(dir, () => undefined)).toMatchObject({
      position: { steps: 2 },
      tally: { lossSum: 7 },
    });
    expect(warnings).toEqual([]);
  });

  it('writes the checkpoint of an earlier step even if those of later steps cannot be removed', async () => {
    const { at, warnings } = writer({ steps: 1 });
    await at('epoch', 2);
    await mkdir(join(dir, checkpointName(3)));
    await at('rewound', 2, 7);
    expect((await loadCheckpoint(dir, () => undefined)).tally.lossSum).toBe(7);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`Checkpoints after step 2 cannot be removed from ${dir}: `);
  });

  it('writes at an interval of time', async () => {
    const { at, clock } = writer({ ms: 60_000 });
    await at('step', 1);
    clock.skip(60_000);
    await at('step', 2);
    await at('step', 3);
    await at('epoch', 4);
    expect(await stepsOf()).toEqual([2, 4]);
  });

  it('warns and keeps the good checkpoint if the next state is not finite', async () => {
    const { at, warnings } = writer({ steps: 1 });
    await at('epoch', 1);
    await at('epoch', 1, Infinity);
    expect((await loadCheckpoint(dir, () => undefined)).tally.lossSum).toBe(3.25);
    expect(warnings).toEqual([expect.stringContaining('its sums are not finite')]);
  });

  it('warns if its folder cannot be made', async () => {
    await writeFile(join(dir, 'file'), '');
    const { at, warnings } = writer({ steps: 1 }, join(dir, 'file', 'checkpoints'));
    await at('epoch', 1);
    expect(warnings).toEqual([expect.stringContaining('a part of the path is a file')]);
  });

  it('keeps the earlier checkpoints on a full disk, and warns once', async () => {
    for (const steps of [1, 2, 3]) {
      await saveCheckpoint(dir, checkpoint(steps).position, encodeCheckpoint(checkpoint(steps)));
    }
    const before = await readdir(dir);
    const warnings: string[] = [];
    let isFull = true;
    const full = fullDisk(100, 'fails');
    const writer = new CheckpointWriter({
      dir,
      every: { steps: 1 },
      job: exampleJob,
      vectors: checkpoint(4).vectors,
      clock: manualClock(),
      write: { openFile: (...file) => (isFull ? full(...file) : open(...file)) },
      warn: (line) => warnings.push(line),
    });
    for (const steps of [4, 5, 6])
      await writer.record('epoch', checkpoint(steps).position, checkpoint(4).tally);
    expect(await readdir(dir)).toEqual(before);
    expect(warnings).toEqual([
      `No new checkpoint: ${join(dir, 'checkpoint-000000004.bin')} could not be written: the disk is full. ` +
        'The training continues; earlier checkpoints are kept.',
    ]);
    expect((await loadCheckpoint(dir, () => undefined)).position.steps).toBe(3);

    isFull = false;
    await writer.record('epoch', checkpoint(5).position, checkpoint(5).tally);
    expect(warnings.slice(1)).toEqual([`Checkpoints are written to ${dir} again.`]);
    expect((await loadCheckpoint(dir, () => undefined)).position.steps).toBe(5);
  });
});

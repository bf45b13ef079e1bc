import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { writeDigits } from '../support/idx-bytes.ts';
import { spawnGradcast } from '../support/worker-process.ts';

test('with --log json every line of a run is JSON', async () => {
  const scratch = await mkdtemp(join(tmpdir(), 'gradcast-log-'));
  try {
    const data = join(scratch, 'digits');
    await writeDigits(data, syntheticDigits({ seed: 3, trainCount: 256, testCount: 50 }));
    const env = { ...process.env, MNIST_DIR: undefined, GRADCAST_TOKEN: undefined };
    const out = join(scratch, 'run');
    const args = ['--data', data, '--out', out, '--epochs', '1', '--engine', 'wasm', '--workers', '1'];
    const run = spawnGradcast(['train', ...args, '--log', 'json'], env);
    expect(await run.ended, run.output()).toBe(0);
    const lines = run.output().trim().split('\n');
    const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const events = entries.map(({ event }) => event).filter((event) => event !== undefined);
    expect(events).toEqual(
      expect.arrayContaining(['listening', 'joined', 'epochStarted', 'epoch', 'score', 'model']),
    );
    expect(entries.find(({ event }) => event === 'joined')).toMatchObject({
      worker: 'local',
      backend: 'wasm',
    });
    expect(entries.find(({ event }) => event === 'model')).toMatchObject({ modelDir: join(out, 'model') });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});

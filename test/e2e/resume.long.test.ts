import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { waitForOutput } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { scratch, data, gradcast, train, timelessHistory, remove } = await makeRuns();
afterAll(remove);

test('a killed run resumes from its last checkpoint and ends with the same history', async () => {
  // One worker, since the partition among several depends on how busy the machine is, and the last bits on the partition.
  const whole = train('whole', '--epochs', '3', '--workers', '1');
  expect(await whole.ended, whole.output()).toBe(0);
  const killed = train('crashed', '--epochs', '3', '--workers', '1', '--checkpoint-every', '2');
  await waitForOutput(killed, /Epoch 2\/3: 5 steps/);
  killed.kill('SIGKILL');
  await killed.ended;
  const resumed = gradcast(
    ...['train', '--resume', join(scratch, 'crashed'), '--data', data],
    ...['--engine', 'wasm', '--workers', '1'],
  );
  expect(await resumed.ended, resumed.output()).toBe(0);
  expect(resumed.output()).toMatch(/Resuming .*crashed after step \d+, in epoch [12] of 3/);
  expect(await timelessHistory('crashed')).toEqual(await timelessHistory('whole'));

  const done = gradcast('coordinator', '--resume', join(scratch, 'crashed'), '--data', data, '--port', '0');
  expect(await done.ended, done.output()).toBe(0);
  expect(done.output()).toMatch(/^The run in .*crashed is finished \(3 of 3 epochs\), .* --epochs 6\.$/m);
  expect(done.output()).not.toContain('Resuming');

  // Its last checkpoint suffices to train it longer.
  const longer = gradcast(
    ...['train', '--resume', join(scratch, 'crashed'), '--data', data, '--epochs', '4'],
    ...['--engine', 'wasm', '--workers', '1'],
  );
  expect(await longer.ended, longer.output()).toBe(0);
  expect(longer.output()).toMatch(/Resuming .*crashed after step 15, in epoch 4 of 4/);

  const other = gradcast('train', '--resume', join(scratch, 'crashed'), '--seed', '3');
  expect(await other.ended).toBe(1);
  expect(other.output()).toContain('cannot be used with');
}, 120_000);

test('an exact run that is killed and resumed by other workers ends with the same weights', async () => {
  const weightsOf = async (out: string): Promise<Buffer> => {
    const folder = join(scratch, out, 'model');
    const [file = ''] = (await readdir(folder)).filter((name) => name.endsWith('.bin'));
    return readFile(join(folder, file));
  };
  const whole = train('exact', '--epochs', '2', '--exact', '--workers', '1');
  expect(await whole.ended, whole.output()).toBe(0);
  const killed = train(
    'exact-killed',
    '--epochs',
    '2',
    '--exact',
    '--workers',
    '3',
    '--checkpoint-every',
    '1',
  );
  await waitForOutput(killed, /Epoch 1\/2: 5 steps/);
  killed.kill('SIGKILL');
  await killed.ended;
  const resumed = gradcast(
    ...['train', '--resume', join(scratch, 'exact-killed'), '--data', data],
    ...['--engine', 'wasm', '--workers', '2'],
  );
  expect(await resumed.ended, resumed.output()).toBe(0);
  const anyWorkers = (records: EpochRecord[]): EpochRecord[] =>
    records.map((record) => ({ ...record, workers: 0 }));
  expect(anyWorkers(await timelessHistory('exact-killed'))).toEqual(
    anyWorkers(await timelessHistory('exact')),
  );
  expect((await weightsOf('exact-killed')).equals(await weightsOf('exact'))).toBe(true);

  const lossy = train('exact-lossy', '--exact', '--codec', 'int8');
  expect(await lossy.ended).toBe(1);
  expect(lossy.output()).toContain('--exact needs --codec float32');
}, 120_000);

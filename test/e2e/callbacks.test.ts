import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readEventFolder } from '../support/event-records.ts';
import { makeRuns } from './runs.ts';

const { scratch, data, gradcast, train, history, remove } = await makeRuns();
const received: { readonly event: string; readonly epoch: number; readonly stopReason?: string | null }[] =
  [];
const server = createServer((request, response) => {
  let text = '';
  request.setEncoding('utf8').on('data', (part: string) => (text += part));
  request.on('end', () => {
    received.push(JSON.parse(text) as (typeof received)[number]);
    response.end();
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/s3cret-hook`;
afterAll(async () => {
  server.close();
  await remove();
});

const csv = join(scratch, 'log.csv');
const rows = async (): Promise<string[][]> =>
  (await readFile(csv, 'utf8'))
    .trim()
    .split('\r\n')
    .map((line) => line.split(','));

/** Early stopping for which nothing after the first epoch is an improvement. */
const stopping = (patience: number): string[] => ['--early-stopping', `patience=${patience},min-delta=10`];

test('a run ends early with the weights of its best epoch, and callbacks have recorded it', async () => {
  const run = train(
    ...['early', '--epochs', '6', '--workers', '1', ...stopping(1)],
    ...['--save-best', '--csv-log', csv, '--tensorboard', join(scratch, 'logs'), '--webhook', url],
  );
  expect(await run.ended, run.output()).toBe(0);
  expect(run.output()).toContain('The run ends after epoch 2: val_loss has not improved for 1 epoch.');
  const records = await history('early');
  expect(records).toHaveLength(2);
  const models = await Promise.all(
    ['model', 'best'].map(
      async (folder) =>
        (
          JSON.parse(await readFile(join(scratch, 'early', folder, 'model.json'), 'utf8')) as {
            userDefinedMetadata: object;
          }
        ).userDefinedMetadata,
    ),
  );
  expect(models[0]).toMatchObject({ epochs: 1, val_loss: records[0]!.val_loss });
  expect(models[1]).toMatchObject({
    val_loss: Math.min(...records.map(({ val_loss }) => val_loss)),
  });

  const evaluated = gradcast('evaluate', join(scratch, 'early'), '--data', data, '--engine', 'wasm');
  expect(await evaluated.ended, evaluated.output()).toBe(0);
  expect(Number(/Test accuracy: ([\d.]+)/.exec(evaluated.output())?.[1])).toBe(records[0]!.val_accuracy);

  const columns = ['accuracy', 'loss', 'val_accuracy', 'val_loss'] as const;
  expect(await rows()).toEqual([
    ['epoch', ...columns],
    ...records.map((record, i) => [String(i), ...columns.map((name) => String(record[name]))]),
  ]);
  const values = await readEventFolder(join(scratch, 'logs', 'validation'));
  expect(values.filter(({ tag }) => tag === 'epoch_loss').map(({ values: [value] }) => value)).toEqual(
    records.map(({ val_loss }) => Math.fround(val_loss)),
  );
  expect(received.map(({ event, epoch }) => `${event} ${epoch}`)).toEqual([
    ...['begin 1', 'epoch 1', 'epoch 2', 'end 2'],
  ]);
  expect(received.at(-1)?.stopReason).toBe('val_loss has not improved for 1 epoch');
  expect(await readFile(join(scratch, 'early', 'config.json'), 'utf8')).not.toContain('s3cret');
}, 180_000);

test('a run that ended early is resumed with more patience, and its CSV file is continued', async () => {
  const resume = (...more: string[]) =>
    gradcast(
      ...['train', '--resume', join(scratch, 'early'), '--data', data, '--csv-log', csv],
      ...['--engine', 'wasm', '--workers', '1', ...more],
    );
  const again = resume(...stopping(1));
  expect(await again.ended, again.output()).toBe(0);
  expect(await history('early')).toHaveLength(2);
  // A job that is queued again after its end: there is no worker.
  const requeued = gradcast(
    ...['coordinator', '--resume-or-start', join(scratch, 'early'), '--data', data, '--csv-log', csv],
    ...['--host', '127.0.0.1', '--port', '0', '--url-file', join(scratch, 'url'), ...stopping(1)],
  );
  expect(await requeued.ended, requeued.output()).toBe(0);
  expect(requeued.output()).toContain('The run ends after epoch 2: val_loss has not improved for 1 epoch.');
  expect(requeued.output()).toContain(`Model: ${join(scratch, 'early', 'model')}`);
  expect(await readFile(join(scratch, 'url'), 'utf8')).toBe('finished\n');
  expect(await history('early')).toHaveLength(2);
  const longer = resume(...stopping(3));
  expect(await longer.ended, longer.output()).toBe(0);
  expect(longer.output()).toContain('The run ends after epoch 4: val_loss has not improved for 3 epochs.');
  expect(longer.output()).toContain('The saved model has the weights of epoch 1, the best one.');
  expect((await rows()).map(([epoch]) => epoch)).toEqual(['epoch', '0', '1', '2', '3']);
  expect((await readdir(join(scratch, 'early', 'model'))).sort()).toEqual([
    'README.md',
    'model.json',
    expect.stringMatching(/^weights-.*\.bin$/),
  ]);
}, 180_000);

test('wrong settings of early stopping end the command with a sentence', async () => {
  for (const [settings, problem] of [
    ['patience=few', 'few is no number'],
    ['epochs=3', 'epochs=3 is no setting'],
    ['mode=larger', 'earlyStopping has no mode larger'],
  ]) {
    const run = train('wrong', '--early-stopping', settings!);
    expect(await run.ended).toBe(1);
    expect(run.output()).toContain(problem);
  }
});

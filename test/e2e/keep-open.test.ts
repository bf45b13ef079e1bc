import { afterAll, expect, test } from 'vitest';
import { waitForOutput } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { train, gradcast, data, scratch, remove } = await makeRuns();
afterAll(remove);

test('--keep-open serves the page of a finished run until Ctrl-C, then exits with code 0', async () => {
  const run = train('kept', '--epochs', '1', '--keep-open', '--token', 's3cret');
  await waitForOutput(run, /Serving the page until Ctrl-C: /);
  const page = /until Ctrl-C: (http:\/\/127\.0\.0\.1:\d+\/)#TOKEN/.exec(run.output())?.[1] ?? '';
  const answer = await fetch(page);
  expect(answer.status).toBe(200);
  expect(await answer.text()).toContain('<title>gradcast</title>');
  // The model is saved and the lock of the folder released before the page is served on.
  expect(run.output().indexOf('Model: ')).toBeLessThan(run.output().indexOf('Serving the page'));
  const late = gradcast(
    ...['worker', page.replace('http', 'ws'), '--token', 's3cret', '--engine', 'wasm', '--workers', '1'],
  );
  expect(await late.ended, late.output()).toBe(0);
  const longer = gradcast('train', '--resume', `${scratch}/kept`, '--data', data);
  expect(await longer.ended, longer.output()).toBe(0);
  run.kill('SIGINT');
  expect(await run.ended, run.output()).toBe(0);
  expect(run.output()).not.toContain('Stopping');
});

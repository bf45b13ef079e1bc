import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { unlessEnded, waitForOutput, type WorkerProcess } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { scratch, data, gradcast, remove } = await makeRuns();
afterAll(remove);

/** Link that a coordinator or relay prints, without its token. */
async function linkOf(process: WorkerProcess): Promise<string> {
  await waitForOutput(process, /Listening on http:\/\/127\.0\.0\.1:\d+/);
  return `${/Listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(process.output())?.[1] ?? ''}/`;
}

const coordinate = (out: string, ...options: string[]): WorkerProcess =>
  gradcast(
    'coordinator',
    '--data',
    data,
    '--out',
    join(scratch, out),
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    ...options,
  );
const relay = (...options: string[]): WorkerProcess =>
  gradcast('relay', '--host', '127.0.0.1', '--port', '0', '--name', 'lab', ...options);
const work = (...links: string[]): WorkerProcess =>
  gradcast('worker', ...links, '--workers', '1', '--engine', 'wasm', '--name', 'ann');

test('a relay joins a run, shows its workers, and ends with the run', async () => {
  // It waits for the second worker until the status of the relay has been read.
  const options = ['--min-workers', '2', '--epochs', '2', '--token', 's3cret', '--exact'];
  const coordinator = coordinate('relayed', ...options);
  const root = await linkOf(coordinator);
  const lab = relay(root, '--token', 's3cret', '--workers-token', 'lan');
  const link = await linkOf(lab);
  const stranger = work(`${link}#s3cret`);
  expect(await stranger.ended, stranger.output()).toBe(1);
  expect(stranger.output()).toContain('Wrong token');
  const worker = work(`${link}#lan`);
  await unlessEnded([lab, worker], waitForOutput(coordinator, /\+ lab joined: relay on lab/));
  const status = gradcast('status', `${link}#lan`);
  expect(await status.ended, status.output()).toBe(0);
  expect(status.output()).toMatch(/^ann +wasm/m);
  const watching = gradcast('status', '--watch', `${root}#s3cret`);
  await waitForOutput(watching, /^lab +relay/m);
  const second = work(`${root}#s3cret`);
  expect(await coordinator.ended, coordinator.output()).toBe(0);
  expect(await watching.ended, watching.output()).toBe(0);
  expect(watching.output()).toMatch(/Epoch 2\/2.*(.*\n)*The run is finished\.\n/);
  expect(await lab.ended, lab.output()).toBe(0);
  expect(await worker.ended, worker.output()).toBe(0);
  expect(await second.ended, second.output()).toBe(0);
  expect(lab.output()).toMatch(/lab: joined ws:.*\n(.*\n)*.*Epoch 1\/2(.*\n)*.*lab: The run is finished\./);
  expect(lab.output()).toContain('+ ann joined: wasm');
  expect(lab.output() + coordinator.output()).not.toMatch(/s3cret|lan\b/);
});

test('Ctrl-C at a relay leaves the run in order, and its worker goes to the coordinator', async () => {
  const coordinator = coordinate('left', '--epochs', '1000');
  const root = await linkOf(coordinator);
  const lab = relay(root);
  const worker = work(await linkOf(lab), root);
  await unlessEnded([lab, worker], waitForOutput(coordinator, /\+ lab joined: relay on lab/));
  lab.kill('SIGINT');
  expect(await lab.ended, lab.output()).toBe(130);
  expect(lab.output()).toContain(
    'Leaving the run; its workers look for another coordinator. Ctrl-C again stops at once.',
  );
  await unlessEnded([worker], waitForOutput(coordinator, /- lab left: asked to leave\n(.*\n)*\+ ann joined/));
  coordinator.kill('SIGINT');
  expect(await coordinator.ended, coordinator.output()).toBe(130);
  // Ctrl-C at the coordinator is the end of the run.
  expect(await worker.ended, worker.output()).toBe(0);
});

test('a relay that cannot take part says why, and ends with 1', async () => {
  const coordinator = coordinate('refused', '--token', 's3cret');
  const link = await linkOf(coordinator);
  const lab = relay(`${link}#guess`);
  expect(await lab.ended, lab.output()).toBe(1);
  expect(lab.output()).toContain('Wrong token');
  const nowhere = relay('lab');
  expect(await nowhere.ended, nowhere.output()).toBe(1);
  expect(nowhere.output()).toContain("'lab' is not the address of a coordinator");
  coordinator.kill('SIGINT');
  expect(await coordinator.ended).toBe(130);
});

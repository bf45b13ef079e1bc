import { join } from 'node:path';
import { selfSignedCertificate } from '../../coordinator/server/tls.ts';
import { afterAll, expect, test } from 'vitest';
import { spawnGradcast, unlessEnded, waitForOutput, type WorkerProcess } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { scratch, data, remove } = await makeRuns();
afterAll(remove);

/** Starts a command of a machine with a certificate of its own. */
const on = (machine: string, ...args: string[]): WorkerProcess =>
  spawnGradcast(args, {
    ...process.env,
    MNIST_DIR: undefined,
    GRADCAST_TOKEN: 's3cret',
    XDG_CACHE_HOME: join(scratch, machine),
  });
const server = ['--host', '127.0.0.1', '--port', '0', '--https'];
const wasm = ['--engine', 'wasm', '--name'];

async function addressOf(process: WorkerProcess): Promise<{ link: string; fingerprint: string }> {
  const pattern = /gradcast\S* worker (https:\S+?)(?:'?#\S*)? --fingerprint (\S+)/;
  await waitForOutput(process, pattern);
  const [, link = '', fingerprint = ''] = pattern.exec(process.output()) ?? [];
  return { link, fingerprint };
}

test('self-signed certificates of a coordinator and a relay are trusted by the url file, and by several fingerprints', async () => {
  const file = join(scratch, 'url');
  const options = ['--data', data, '--out', join(scratch, 'run'), '--url-file', file, '--epochs', '3'];
  const coordinator = on('head', 'coordinator', ...options, ...server, '--min-workers', '3', '--exact');
  const root = await addressOf(coordinator);
  const relay = on('lab', 'relay', '--url-file', file, ...server, '--name', 'lab');
  const lab = await addressOf(relay);
  expect(lab.fingerprint).not.toBe(root.fingerprint);

  const several = ['--fingerprint', `${lab.fingerprint},${root.fingerprint}`];
  const worker = on('ann', 'worker', lab.link, root.link, ...several, ...wasm, 'ann', '--workers', '2');
  await unlessEnded([relay, worker], waitForOutput(coordinator, /\+ lab joined: relay on lab/));
  const status = on('ann', 'status', '--url-file', file);
  expect(await status.ended, status.output()).toBe(0);
  relay.kill('SIGINT');
  expect(await relay.ended, relay.output()).toBe(130);
  await unlessEnded([worker], waitForOutput(coordinator, /\+ ann-[12] joined(.*\n)*\+ ann-[12] joined/));

  const byFile = on('bob', 'worker', '--url-file', file, ...wasm, 'bob', '--workers', '2');
  for (const each of [coordinator, worker, byFile]) expect(await each.ended, each.output()).toBe(0);
});

test('workers trust a certificate of NODE_EXTRA_CA_CERTS by its name, as those of deploy/kubernetes/tls do', async () => {
  await selfSignedCertificate(scratch, [], new Date());
  const [cert, key] = [join(scratch, 'certificate.pem'), join(scratch, 'key.pem')];
  const env = { ...process.env, MNIST_DIR: undefined, GRADCAST_TOKEN: 's3cret' };
  const options = [
    '--data',
    data,
    '--out',
    join(scratch, 'named'),
    '--epochs',
    '1',
    '--cert',
    cert,
    '--key',
    key,
  ];
  const coordinator = spawnGradcast(
    ['coordinator', ...options, '--host', '127.0.0.1', '--port', '0', '--min-workers', '2'],
    env,
  );
  await waitForOutput(coordinator, /Listening on https:\S+/);
  const url = /https:[^,\s]+/.exec(coordinator.output())?.[0] ?? '';
  const worker = spawnGradcast(['worker', '--workers', '2', '--engine', 'wasm'], {
    ...env,
    GRADCAST_URL: url.replace('127.0.0.1', 'localhost'),
    NODE_EXTRA_CA_CERTS: cert,
  });
  for (const each of [coordinator, worker]) expect(await each.ended, each.output()).toBe(0);
});

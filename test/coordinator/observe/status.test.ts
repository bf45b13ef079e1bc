import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { selfSignedCertificate } from '../../../coordinator/server/tls.ts';
import { describeStatus, type RunStatus } from '../../../coordinator/observe/describe-status.ts';
import { readStatus, watchStatus } from '../../../coordinator/observe/read-status.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { frameFromCoordinator } from '../../../shared/protocol/frame.ts';
import type { FromCoordinator, ProgressWithRows, WorkerRow } from '../../../shared/protocol/messages.ts';
import type { Connect, ConnectionEvents } from '../../../shared/protocol/transport.ts';
import { systemClock } from '../../../shared/util/clock.ts';
import { manualClock, settle } from '../../support/manual-clock.ts';
import { exampleEpoch, exampleJob } from '../../shared/protocol/examples.ts';
import { formatCoordinatorLink } from '../../../shared/protocol/coordinator-link.ts';
import { connectPinned } from '../../../worker-node/connect-websocket.ts';
import { testCoordinator, tinyTopology, type TestCoordinator } from '../../support/test-coordinator.ts';

const row = (name: string, computeMs: number, turnaroundMs: number): WorkerRow => ({
  id: name,
  name,
  backend: 'wasm',
  device: 'CPU',
  share: 0.5,
  samples: 64,
  samplesPerSecond: 640,
  computeMs,
  turnaroundMs,
  rttMs: 1.5,
  bytesUp: 2_400_000,
  bytesDown: 4_800_000,
});
const progress: ProgressWithRows = {
  type: 'progress',
  epoch: 2,
  step: 1,
  loss: 0.5,
  metrics: { accuracy: 0.75 },
  samplesPerSecond: 900,
  etaSeconds: 61,
  curve: [],
  workers: [row('ann', 90, 100), row('bob', 20, 300)],
  slowest: { id: 'bob', cause: 'link' },
};
const status: RunStatus = {
  run: { type: 'run', protocol: 2, job: { ...exampleJob, epochs: 3 }, steps: 2, curve: [], epochs: [] },
  progress,
  last: null,
};

describe('the status of a run', () => {
  it('shows the progress, the workers, and the longest step', () => {
    expect(describeStatus(status)).toEqual([
      'made: 8 samples, batches of 4',
      'Epoch 2/3: 1/2 - ETA: 1m 01s (run: 3m 03s) - loss: 0.5000 - accuracy: 0.7500 - 900 samples/s',
      '',
      'worker  engine  samples/s  share  compute    answer    ping    sent  received',
      'ann     wasm          640    50%  90.0 ms  100.0 ms  1.5 ms  2.4 MB    4.8 MB',
      'bob     wasm          640    50%  20.0 ms  300.0 ms  1.5 ms  2.4 MB    4.8 MB',
      '',
      'Longest step: bob, 300 ms a step, 280 ms of them for its connection. The fastest worker takes 100 ms.',
    ]);
  });

  it('compares with workers that have computed', () => {
    const joined = { ...row('new', 0, 0), share: 0 };
    const last = (...workers: WorkerRow[]) =>
      describeStatus({ ...status, progress: { ...progress, workers } }).at(-1);
    expect(last(row('ann', 90, 100), row('bob', 20, 300), joined)).toMatch(/fastest worker takes 100 ms\.$/);
    expect(last(row('bob', 20, 300), joined)).toMatch(/for its connection\.$/);
  });

  it('says how many workers have no row', () => {
    const lines = describeStatus({ ...status, progress: { ...progress, workerCount: 1_502 } });
    expect(lines).toContain('and 1500 more workers');
  });

  it('lists workers that do not take part, with reasons', () => {
    const lines = describeStatus({
      ...status,
      progress: {
        ...progress,
        notices: [
          { what: 'refused', reason: 'Wrong token.', times: 3 },
          {
            what: 'banned',
            who: 'eve (none on test)',
            reason: 'Its gradients are not those of ann and bob.',
            times: 1,
          },
          { what: 'standby', who: 'cyd', reason: 'A step takes 30 ms without it.', times: 1 },
        ],
      },
    });
    expect(lines.slice(-4)).toEqual([
      '',
      'Refused: Wrong token. (3 times)',
      'Banned: eve (none on test): Its gradients are not those of ann and bob.',
      'Standby: cyd: A step takes 30 ms without it.',
    ]);
  });

  it('says that no step has finished and no worker is connected', () => {
    const quiet: RunStatus = {
      ...status,
      progress: {
        ...progress,
        epoch: 0,
        loss: null,
        metrics: {},
        etaSeconds: null,
        workers: [],
        slowest: null,
      },
    };
    expect(describeStatus(quiet).slice(1)).toEqual([
      'No step has finished yet.',
      '',
      'No worker is connected: the run waits.',
    ]);
    const last = { ...exampleEpoch, epoch: 3 };
    expect(describeStatus({ ...quiet, last }).at(-1)).toBe('The run is finished.');
    expect(describeStatus({ ...quiet, last: { ...last, epoch: 2 } }).at(-1)).toMatch(/the run waits/);
  });
});

const context = {
  createConnector: (fingerprints?: readonly string[]) => Promise.resolve(connectPinned(fingerprints)),
};

describe('readStatus', () => {
  let coordinator: TestCoordinator;
  beforeAll(async () => {
    coordinator = await testCoordinator(syntheticDigits({ seed: 1, trainCount: 8, testCount: 2 }), {
      topology: tinyTopology([28, 28, 1], 10),
      token: 'secret',
    });
  });
  afterAll(() => coordinator.close('done'));

  it('reads the status from a coordinator over a real socket', async () => {
    const lines = await readStatus(coordinator.url, { token: 'secret' }, context);
    expect(lines).toEqual([
      'drawn-digits: 8 samples, batches of 128',
      'No step has finished yet.',
      '',
      'No worker is connected: the run waits.',
    ]);
    const link = `${coordinator.url.replace(/^ws/, 'http')}/#secret`;
    expect(await readStatus(link, {}, context)).toEqual(lines);
    // The token in the link counts, not one from the environment.
    expect(await readStatus(link, { token: 'stale' }, context)).toEqual(lines);
    const [json = ''] = await readStatus(coordinator.url, { token: 'secret', json: true }, context);
    expect(JSON.parse(json)).toMatchObject({ run: { steps: 1 }, progress: { epoch: 0 }, last: null });
  });

  it('explains why there is no status', async () => {
    await expect(readStatus(coordinator.url, {}, context)).rejects.toThrow(
      /No status from ws:.*needs a token/,
    );
    await expect(readStatus('ws://127.0.0.1:1', {}, context)).rejects.toThrow(/ECONNREFUSED/);
    await expect(readStatus('here', {}, context)).rejects.toThrow(/is not the address of a coordinator/);
  });

  it('trusts only the certificate with the given fingerprint', async () => {
    const cache = await mkdtemp(join(tmpdir(), 'gradcast-status-'));
    const tls = await selfSignedCertificate(cache, [], new Date());
    await rm(cache, { recursive: true });
    const secure = await testCoordinator(syntheticDigits({ seed: 1, trainCount: 8, testCount: 2 }), {
      tls,
      topology: tinyTopology([28, 28, 1], 10),
    });
    const { fingerprint } = tls;
    expect(await readStatus(secure.url, { fingerprint: [fingerprint] }, context)).toContain(
      'No step has finished yet.',
    );
    const link = formatCoordinatorLink({ url: secure.url, fingerprint });
    expect(await readStatus(link, {}, context)).toContain('No step has finished yet.');
    await expect(readStatus(secure.url, {}, context)).rejects.toThrow(
      /self-signed certificate.*--fingerprint/,
    );
    await secure.close('done');
  });
});

describe('watchStatus', () => {
  const open = () =>
    testCoordinator(syntheticDigits({ seed: 1, trainCount: 8, testCount: 2 }), {
      topology: tinyTopology([28, 28, 1], 10),
    });
  const watching = (statuses: RunStatus[], lost: string[] = []) => ({
    ...context,
    clock: systemClock(globalThis),
    random: () => 0,
    onStatus: (found: RunStatus) => void statuses.push(found),
    onLost: (reason: string) => void lost.push(reason),
  });

  it('shows each state until the run ends, and the reason for its end', async () => {
    const coordinator = await open();
    const statuses: RunStatus[] = [];
    const watched = watchStatus(coordinator.url, {}, watching(statuses));
    await expect.poll(() => statuses.length, { timeout: 10_000 }).toBeGreaterThan(1);
    expect(describeStatus(statuses[0]!)).toContain('No worker is connected: the run waits.');
    await coordinator.close('The run is finished.');
    expect(await watched).toBe('The run is finished.');
  });

  it('fails at once if the run cannot be reached, or needs a token', async () => {
    await expect(watchStatus('ws://127.0.0.1:1', {}, watching([]))).rejects.toThrow(
      /No status from .*ECONNREFUSED/,
    );
    const locked = await testCoordinator(syntheticDigits({ seed: 1, trainCount: 8, testCount: 2 }), {
      topology: tinyTopology([28, 28, 1], 10),
      token: 'secret',
    });
    await expect(watchStatus(locked.url, {}, watching([]))).rejects.toThrow(/needs a token/);
    await locked.close('done');
  });

  it('opens a lost connection again, and keeps the rows of workers between two messages that have them', async () => {
    const clock = manualClock();
    const sockets: ConnectionEvents[] = [];
    const [statuses, lost]: [RunStatus[], string[]] = [[], []];
    const connect: Connect = (_url, events) => {
      sockets.push(events);
      return { send: () => undefined, close: () => undefined, terminate: () => undefined, bufferedBytes: 0 };
    };
    const receive = (message: FromCoordinator): void =>
      sockets.at(-1)!.onFrame(frameFromCoordinator(message));
    const watched = watchStatus(
      'ws://host/',
      {},
      {
        ...watching(statuses, lost),
        clock,
        createConnector: () => Promise.resolve(connect),
      },
    );
    await settle();
    receive(status.run);
    receive(progress);
    const { workers, ...withoutRows } = progress;
    expect(workers).toHaveLength(2);
    receive({ ...withoutRows, step: 2 });
    expect(statuses.map(({ progress: { step, workers } }) => [step, workers.length])).toEqual([
      [1, 2],
      [2, 2],
    ]);
    sockets[0]!.onClose(1006, 'the network is gone');
    expect(lost).toEqual(['the network is gone']);
    await clock.advance(1_000);
    expect(sockets).toHaveLength(2);
    receive(status.run);
    receive({ type: 'epoch', record: exampleEpoch });
    receive(progress);
    expect(statuses.at(-1)!.last).toEqual(exampleEpoch);
    receive({ type: 'finished', reason: 'The run is finished.' });
    expect(await watched).toBe('The run is finished.');
  });
});

import { describe, expect, it } from 'vitest';
import { MachineReport } from '../../../worker-node/processes/machine-report.ts';
import {
  parseWorkerProcessMessage,
  type WorkerProcessMessage,
} from '../../../worker-node/processes/messages.ts';
import { manualClock } from '../../support/manual-clock.ts';

const JOINED: WorkerProcessMessage = { type: 'joined', totalSteps: 5_628, data: 'mnist', batchSize: 128 };
const waiting = (waitMs: number): WorkerProcessMessage => ({
  type: 'waiting',
  reason: 'connect ECONNREFUSED',
  waitMs,
});

function machine() {
  const clock = manualClock();
  const lines: string[] = [];
  const report = new MachineReport({
    name: 'lab',
    url: 'http://box:2718/',
    clock,
    info: (line) => void lines.push(line),
    note: (line) => void lines.push(`! ${line}`),
  });
  const all = (message: WorkerProcessMessage): void => {
    for (const worker of ['lab-1', 'lab-2']) {
      // As received from another process.
      report.record(worker, parseWorkerProcessMessage(JSON.parse(JSON.stringify(message)))!);
    }
  };
  return { clock, lines, report, all };
}

describe('the terminal of a worker', () => {
  it('has one line for equal messages of several processes', () => {
    const { lines, all } = machine();
    all({ type: 'engine', text: 'wasm on CPU, 1 thread (asked for)' });
    all(JOINED);
    all({ type: 'ended', reason: 'The run is finished.' });
    expect(lines).toEqual([
      'lab: wasm on CPU, 1 thread (asked for)',
      'lab: joined http://box:2718/, mnist, batch 128',
      'lab: The run is finished.',
    ]);
  });

  it('says that a worker is on standby as normal operation, at most once a minute', async () => {
    const { clock, lines, report } = machine();
    const change = (onStandby: boolean): void =>
      report.record('lab-1', { type: 'standby', onStandby, reason: 'Why.' });
    change(true);
    change(false);
    change(true);
    await clock.advance(60_000);
    change(false);
    expect(lines).toEqual(['lab-1: standby. Why.', 'lab-1: active again. Why.']);
  });

  it('says once what to do where a web server has no coordinator', () => {
    const { lines, all } = machine();
    const advice = 'http://box/ answers 404: a web server without a coordinator at this path.';
    all({ ...waiting(1_000), advice } as WorkerProcessMessage);
    all({ ...waiting(2_000), advice } as WorkerProcessMessage);
    expect(lines.filter((line) => line.includes('answers'))).toEqual([`! lab: ${advice}`]);
    expect(lines).toHaveLength(3);
  });

  it('has the event and its values as fields, for a log as JSON', async () => {
    const fields: unknown[] = [];
    const clock = manualClock();
    const keep = (_line: string, values?: object): void => void fields.push(values);
    const report = new MachineReport({
      ...{ name: 'lab', url: 'http://box:2718/', clock },
      ...{ info: keep, note: keep },
    });
    report.record('lab', { type: 'engine', text: 'wasm' });
    report.record('lab', JOINED);
    report.record('lab', { type: 'computed', step: 0, samples: 64 });
    report.record('lab', { type: 'computed', step: 1, samples: 64 });
    await clock.advance(60_000);
    report.record('lab', waiting(1_234.5));
    report.record('lab', { type: 'refused', reason: 'No.' });
    report.record('lab', { type: 'ended', reason: 'The run is finished.' });
    expect(fields).toEqual([
      { event: 'engine' },
      { event: 'joined', url: 'http://box:2718/', data: 'mnist', batchSize: 128 },
      { event: 'work', step: 2, totalSteps: 5_628, samples: 128, samplesPerSecond: 4 },
      { event: 'idle' },
      { event: 'waiting', url: 'http://box:2718/', reason: 'connect ECONNREFUSED', waitMs: 1_235 },
      { event: 'refused' },
      { event: 'ended', reason: 'The run is finished.', samples: 128 },
    ]);
  });

  it('reports every half minute how much this machine has computed', async () => {
    const { clock, lines, report, all } = machine();
    all(JOINED);
    for (let step = 0; step <= 120; step++) {
      report.record('lab-1', { type: 'computed', step, samples: 40 });
      report.record('lab-2', { type: 'computed', step, samples: 24 });
      if (step < 120) await clock.advance(250);
    }
    await clock.advance(29_999);
    expect(lines.slice(1)).toEqual([
      'lab: step 120 of 5,628, 7,680 samples computed, 50% of the batch, 256 samples/s',
    ]);
    await clock.advance(1);
    expect(lines.at(-1)).toMatch(/^lab: step 121 of 5,628, 7,744 samples computed/);
    await clock.advance(90_000);
    expect(lines.slice(3)).toEqual(['lab: connected, no work for this machine at the moment']);
    report.record('lab-1', { type: 'ended', reason: 'The run is finished.' });
    expect(lines.at(-1)).toBe('lab: The run is finished. Computed 7,744 samples.');
    expect(clock.pending).toBe(0);
  });

  it('has one line for each retry, not one for each process', () => {
    const { lines, all } = machine();
    all(waiting(400));
    all(waiting(900));
    expect(lines).toEqual([
      '! lab: No connection to http://box:2718/ (connect ECONNREFUSED). Trying again in 0.4 s.',
      '! lab: No connection to http://box:2718/ (connect ECONNREFUSED). Trying again in 0.9 s.',
    ]);
  });

  it('has fewer lines the longer the coordinator is unreachable, and all of them again after a connection', () => {
    const { lines, all, report } = machine();
    for (let retry = 0; retry < 100; retry++) all(waiting(15_000));
    expect(lines).toHaveLength(6 + 4);
    expect(lines.at(-1)).toMatch(/^! lab: Still no connection to .* Trying again in 15\.0 s\.$/);
    all(JOINED);
    expect(lines.at(-1)).toBe('lab: joined http://box:2718/, mnist, batch 128');
    all(waiting(400));
    expect(lines.at(-1)).toBe(
      '! lab: No connection to http://box:2718/ (connect ECONNREFUSED). Trying again in 0.4 s.',
    );
    report.close();
  });

  it('reports a refusal once, even if processes are restarted', () => {
    const { lines, all } = machine();
    for (let i = 0; i < 4; i++) all({ type: 'refused', reason: 'Wrong token.' });
    expect(lines).toEqual(['! lab: Wrong token.']);
  });
});

import { describe, expect, it } from 'vitest';
import type { WorkerRow } from '../../../shared/protocol/messages.ts';
import { arrangeWorkers } from '../../../worker-browser/page/arrange-workers.ts';
import { createRow } from '../../../worker-browser/page/worker-rows.ts';
import { worker } from './run-fixtures.ts';

/** Rows of workers on one machine: that of the group, if there are several, and theirs. */
function rowsOf(workers: readonly WorkerRow[], more: { ownId?: string; slowestId?: string } = {}) {
  const run = { workers, ownId: more.ownId ?? null, slowestId: more.slowestId };
  const { items } = arrangeWorkers(run, { query: '', order: null, isGrouped: true, toggled: new Set(['m']) });
  return items.map((item) => createRow(item, run));
}

describe('a row of the worker table', () => {
  it('shows the figures of a worker', () => {
    expect(rowsOf([worker('a', { codecs: 'int8/int8', rttMs: 3.25 })])[0]).toEqual({
      key: 'worker a',
      name: 'worker a',
      badges: [],
      engine: 'WebAssembly on CPU',
      speed: '400',
      share: '50%',
      bar: 0.5,
      computeTime: '50\u00a0ms of 200\u00a0ms',
      traffic: '2.4\u00a0MB, 0\u00a0B, int8/int8',
      roundTrip: '3.3\u00a0ms',
      samples: '100',
      own: false,
      isMember: false,
      isOpen: null,
    });
  });

  it('marks this tab, the worker with the longest step and those on standby', () => {
    const badges = (row: WorkerRow, more = {}) => rowsOf([row], more)[0]?.badges.map(({ text }) => text);
    expect(badges(worker('a'), { ownId: 'a', slowestId: 'a' })).toEqual(['this tab', 'longest step']);
    expect(badges(worker('a', { standby: true }))).toEqual(['standby']);
  });

  it('has digits for the share of one worker among thousands, and a bar relative to the largest share', () => {
    const share = (value: number): string | undefined => rowsOf([worker('a', { share: value })])[0]?.share;
    expect([0, 0.0002, 0.0012, 0.0456, 0.25].map(share)).toEqual(['0%', '<0.1%', '0.1%', '4.6%', '25%']);
    const item = { type: 'worker', key: '', worker: worker('a', { share: 0.001 }), isMember: false } as const;
    const none = { ownId: null, slowestId: undefined };
    expect([createRow(item, none, 0.004).bar, createRow(item, none, 0).bar]).toEqual([0.25, 0]);
  });

  it('of a machine has the sums and the worst state of its workers', () => {
    const workers = [
      worker('a', { machine: 'm', rttMs: 12 }),
      worker('b', { machine: 'm', standby: true, turnaroundMs: 321 }),
    ];
    const [group, ...members] = rowsOf(workers, { slowestId: 'a' });
    expect(group).toMatchObject({
      name: 'm',
      badges: [
        {
          text: 'longest step',
          isWarning: true,
          title: expect.stringMatching(/The others wait for it\.$/) as string,
        },
        { text: '1 standby', isWarning: true, title: expect.stringMatching(/./) as string },
      ],
      engine: '2 workers, WebAssembly on CPU',
      speed: '800',
      share: '100%',
      computeTime: 'up to 321\u00a0ms',
      roundTrip: 'up to 12\u00a0ms',
      traffic: '4.8\u00a0MB, 0\u00a0B',
      samples: '200',
      isOpen: true,
    });
    expect(members.map(({ isMember }) => isMember)).toEqual([true, true]);
    const mixed = [worker('a', { machine: 'm' }), worker('b', { machine: 'm', device: 'GPU' })];
    expect(rowsOf(mixed)[0]?.engine).toBe('2 workers, 2 engines and devices');
  });
});

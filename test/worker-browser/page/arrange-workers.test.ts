import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WorkerRow } from '../../../shared/protocol/messages.ts';
import {
  COLUMNS,
  arrangeWorkers,
  isWorthGrouping,
  machineOf,
  nextOrder,
  type ArrangedWorkers,
  type TableChoice,
} from '../../../worker-browser/page/arrange-workers.ts';
import { checkProperty } from '../../support/property.ts';
import { worker } from './run-fixtures.ts';

const choice: TableChoice = { query: '', order: null, isGrouped: false, toggled: new Set() };
const none = { ownId: null, slowestId: undefined };
/** Keys of the rows, without the kind of a worker's. */
const keys = ({ items }: ArrangedWorkers): string[] => items.map(({ key }) => key.replace('worker ', ''));

describe('the search', () => {
  const workers = [
    worker('a', { name: 'lab-1', machine: 'lab', device: 'NVIDIA H100', backend: 'tensorflow' }),
    worker('b', { name: 'lab-2', machine: 'lab', backend: 'wasm', standby: true }),
    worker('c', { name: 'Chrome on Android', backend: 'webgpu' }),
    worker('d', { name: 'Café' }),
  ];
  const find = (query: string) =>
    keys(arrangeWorkers({ workers, ownId: 'c', slowestId: 'a' }, { ...choice, query }))
      .sort()
      .join('');

  it('finds names, machines, engines, devices and states, whatever their case', () => {
    expect(find('LAB')).toBe('ab');
    expect(find('h100')).toBe('a');
    expect(find('webassembly')).toBe('bd');
    expect(find('wasm')).toBe('bd');
    expect(find('standby')).toBe('b');
    expect(find('longest step')).toBe('a');
    expect(find('this tab')).toBe('c');
    expect(find('café')).toBe('d');
  });

  it('wants all words, in any order, and finds all workers without one', () => {
    expect(find('lab tensorflow')).toBe('a');
    expect(find(' tensorflow  lab ')).toBe('a');
    expect(find('lab webgpu')).toBe('');
    expect(find('  ')).toBe('abcd');
  });

  it('counts what it finds', () => {
    const found = arrangeWorkers({ workers, ...none }, { ...choice, query: 'lab', isGrouped: true });
    expect(found.matches).toBe(2);
    // A group is open in a search.
    expect(keys(found)).toEqual(['group lab', 'a', 'b']);
  });
});

describe('the order', () => {
  it('has this tab first, then the slowest worker, then the others by samples', () => {
    const workers = [
      worker('a', { samples: 9 }),
      worker('b', { samples: 99 }),
      worker('c'),
      worker('d', { samples: 1 }),
    ];
    const arranged = arrangeWorkers({ workers, ownId: 'd', slowestId: 'a' }, choice);
    expect(keys(arranged)).toEqual(['d', 'a', 'c', 'b']);
  });

  it('follows a column, names by the numbers in them, and rows without a value last in both directions', () => {
    const workers = [
      worker('a', { name: 'node10', rttMs: 5, turnaroundMs: 0 }),
      worker('b', { name: 'node9', rttMs: null, turnaroundMs: 3 }),
      worker('c', { name: 'Node1', rttMs: 0.5, turnaroundMs: 4 }),
    ];
    const by = (column: (typeof COLUMNS)[number], isDescending: boolean) =>
      keys(arrangeWorkers({ workers, ...none }, { ...choice, order: { column, isDescending } })).join('');
    expect([by('name', false), by('name', true)]).toEqual(['cba', 'abc']);
    expect([by('roundTrip', false), by('roundTrip', true)]).toEqual(['cab', 'acb']);
    expect([by('computeTime', false), by('computeTime', true)]).toEqual(['bca', 'cba']);
  });

  it('of a column is turned by a second click on its header, and ended by a third one', () => {
    const first = nextOrder(null, 'speed');
    const second = nextOrder(first, 'speed');
    expect([first?.isDescending, second?.isDescending, nextOrder(second, 'speed')]).toEqual([
      true,
      false,
      null,
    ]);
    expect(nextOrder(second, 'name')).toEqual({ column: 'name', isDescending: false });
  });

  it('stays as it is where rows must not move: workers that left are gone, new ones are the last', () => {
    const workers = [worker('a', { samples: 1 }), worker('b', { samples: 5 }), worker('d', { samples: 9 })];
    const arranged = arrangeWorkers({ workers, ...none }, choice, ['a', 'c', 'b'], true);
    expect(keys(arranged)).toEqual(['a', 'b', 'd']);
    expect(keys(arrangeWorkers({ workers, ...none }, choice, ['a', 'c', 'b']))).toEqual(['d', 'b', 'a']);
  });
});

describe('groups', () => {
  it('are machines: as workers say, or else by name without its number', () => {
    const machine = (name: string, said?: string) =>
      machineOf(worker('a', { name, ...(said === undefined ? {} : { machine: said }) }));
    expect(machine('node-7-2', 'node-7')).toBe('node-7');
    expect(machine('node-7')).toBe('node');
    expect(machine('lab-gpu3')).toBe('lab');
    expect(machine('lab-2 (3)')).toBe('lab');
    expect(machine('Chrome on Linux (12)')).toBe('Chrome on Linux');
    expect(machine('-1')).toBe('-1');
  });

  it('have sums of their workers, and the worst of their times and states', () => {
    const workers = [
      worker('a', { machine: 'm', share: 0.25, rttMs: 3, bytesUp: 1, bytesDown: 2 }),
      worker('b', { machine: 'm', share: 0.5, rttMs: null, turnaroundMs: 900, standby: true, bytesUp: 4 }),
    ];
    const [item] = arrangeWorkers({ workers, ...none }, { ...choice, isGrouped: true }).items;
    expect(item).toMatchObject({
      type: 'group',
      isOpen: false,
      group: {
        machine: 'm',
        samplesPerSecond: 800,
        share: 0.75,
        samples: 200,
        bytesUp: 5,
        bytesDown: 2,
        turnaroundMs: 900,
        rttMs: 3,
        standbyCount: 1,
      },
    });
  });

  it('open one by one; this tab and machines with a single worker have none', () => {
    const workers = [
      worker('a', { machine: 'm', samples: 1 }),
      worker('b', { machine: 'n', samples: 8 }),
      worker('c', { machine: 'm', samples: 2 }),
      worker('d', { machine: 'n', samples: 9 }),
      worker('e', { machine: 'o', samples: 4 }),
      worker('f', { machine: 'm', samples: 0 }),
    ];
    const run = { workers, ownId: 'f', slowestId: undefined };
    const grouped = { ...choice, isGrouped: true, toggled: new Set(['m']) };
    const arranged = arrangeWorkers(run, grouped);
    expect(keys(arranged)).toEqual(['f', 'group n', 'e', 'group m', 'c', 'a']);
    expect(arranged.sequence).toEqual(['f', 'd', 'b', 'e', 'c', 'a']);
    // The slowest worker's group is the first one.
    expect(keys(arrangeWorkers({ ...run, slowestId: 'a' }, grouped)).slice(0, 3)).toEqual([
      'f',
      'group m',
      'a',
    ]);
    const order = { column: 'name', isDescending: true } as const;
    expect(keys(arrangeWorkers(run, { ...grouped, order }))).toEqual([
      'f',
      'e',
      'group n',
      'group m',
      'c',
      'a',
    ]);
  });

  it('keep their places and members where rows must not move', () => {
    const workers = (samples: number) => [
      worker('a', { machine: 'm', samples: 10 }),
      worker('b', { machine: 'n', samples }),
      worker('c', { machine: 'm', samples: 10 }),
      worker('d', { machine: 'n', samples }),
    ];
    const grouped = { ...choice, isGrouped: true, toggled: new Set(['m', 'n']) };
    const before = arrangeWorkers({ workers: workers(1), ...none }, grouped);
    const held = arrangeWorkers({ workers: workers(99), ...none }, grouped, before.sequence, true);
    expect(keys(held)).toEqual(keys(before));
    expect(keys(arrangeWorkers({ workers: workers(99), ...none }, grouped))[0]).toBe('group n');
  });

  it('are worth it if they make the table half as long', () => {
    const of = (...machines: string[]) => machines.map((machine, i) => worker(String(i), { machine }));
    expect(isWorthGrouping(of('a', 'a', 'b', 'b'))).toBe(true);
    expect(isWorthGrouping(of('a', 'b', 'c', 'c'))).toBe(false);
  });
});

const row: fc.Arbitrary<Partial<WorkerRow>> = fc.record({
  name: fc.constantFrom('a-1', 'a-2', 'b', 'Chrome (2)', 'Chrome'),
  machine: fc.constantFrom('m', 'n', 'o', undefined),
  samples: fc.nat(5),
  samplesPerSecond: fc.nat(5),
  share: fc.constantFrom(0, 0.5, 1),
  rttMs: fc.constantFrom(null, 1, 2),
  turnaroundMs: fc.nat(3),
  standby: fc.boolean(),
});
const chosen: fc.Arbitrary<TableChoice> = fc.record({
  query: fc.constantFrom('', 'a', 'standby', 'm chrome'),
  order: fc.option(fc.record({ column: fc.constantFrom(...COLUMNS), isDescending: fc.boolean() })),
  isGrouped: fc.boolean(),
  toggled: fc.subarray(['m', 'n', 'o', 'a', 'Chrome']).map((machines) => new Set(machines)),
});

describe('whatever is chosen', () => {
  it('each worker that is found is in the table once, or in one closed group, and sums are those of all', () => {
    checkProperty(
      fc.property(fc.array(row, { maxLength: 30 }), chosen, fc.boolean(), (rows, choice, isHeld) => {
        const workers = rows.map((more, i) => worker(String(i), more));
        const run = { workers, ownId: '0', slowestId: '1' };
        const { items, matches, sequence } = arrangeWorkers(run, choice, ['3', '1', '2'], isHeld);
        const shown = items.flatMap((item) => (item.type === 'worker' ? [item.worker] : []));
        const hidden = items.flatMap((item) =>
          item.type === 'group' && !item.isOpen ? item.group.workers : [],
        );
        const all = [...shown, ...hidden].map(({ id }) => id);
        expect(new Set(all).size).toBe(all.length);
        expect([...all].sort()).toEqual([...sequence].sort());
        expect(matches).toBe(all.length);
        if (choice.query === '') expect(matches).toBe(workers.length);
        expect(new Set(items.map(({ key }) => key)).size).toBe(items.length);
        for (const item of items) {
          if (item.type === 'worker') continue;
          const { workers: members, samples, share } = item.group;
          expect(samples).toBe(members.reduce((sum, member) => sum + member.samples, 0));
          expect(share).toBeCloseTo(members.reduce((sum, member) => sum + member.share, 0));
        }
      }),
      { seed: 26 },
    );
  });

  it('equal workers keep the order that they had', () => {
    checkProperty(
      fc.property(fc.array(row, { maxLength: 30 }), fc.constantFrom(...COLUMNS), (rows, column) => {
        const workers = rows.map((more, i) => worker(String(i).padStart(2, '0'), more));
        const order = { column, isDescending: true };
        const run = { workers, ...none };
        const { sequence } = arrangeWorkers(run, { ...choice, order });
        const again = arrangeWorkers(
          { ...run, workers: [...workers].reverse() },
          { ...choice, order },
          sequence,
        );
        expect(again.sequence).toEqual(sequence);
      }),
      { seed: 27 },
    );
  });
});

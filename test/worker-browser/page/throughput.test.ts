import { describe, expect, it } from 'vitest';
import { MAX_BANDS, stackedEdges, ThroughputHistory } from '../../../worker-browser/page/throughput.ts';
import { worker } from './run-fixtures.ts';

const row = (id: string, samplesPerSecond: number) => worker(id, { samplesPerSecond });

describe('throughput by worker', () => {
  it('has a band for each worker, which begins when it joins and ends when it leaves', () => {
    const history = new ThroughputHistory();
    history.add([row('a', 100)], 1_000);
    history.add([row('a', 90), row('b', 20)], 1_500);
    history.add([row('b', 50)], 2_000);
    const stack = history.stack('b');
    expect(stack).toEqual({
      at: [0, 0.5, 1],
      bands: [
        { name: 'worker a', rates: [100, 90, 0] },
        { name: 'this tab', rates: [0, 20, 50] },
      ],
    });
    expect(stackedEdges(stack.bands)).toEqual([
      [100, 90, 0],
      [100, 110, 50],
    ]);
    history.clear();
    expect(history.stack(null)).toEqual({ at: [], bands: [] });
  });

  it('joins the slowest of many workers into one band', () => {
    const history = new ThroughputHistory();
    history.add(
      Array.from({ length: 20 }, (_, i) => row(`w${i}`, i)),
      0,
    );
    const { bands } = history.stack(null);
    expect(bands).toHaveLength(MAX_BANDS + 1);
    expect(bands.at(-1)).toEqual({ name: '14 others', rates: [91] });
    expect(stackedEdges(bands).at(-1)).toEqual([190]);
  });

  it('keeps a bounded number of moments over the whole time', () => {
    const history = new ThroughputHistory();
    for (let i = 0; i < 5_000; i++) history.add([row('a', i)], i * 500);
    const { at } = history.stack(null);
    expect(at.length).toBeLessThanOrEqual(240);
    expect(at.length).toBeGreaterThan(100);
    expect(at[0]).toBe(0);
    expect(at.at(-1)).toBeGreaterThan(2_400);
  });
});

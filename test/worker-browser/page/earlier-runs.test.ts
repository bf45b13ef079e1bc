import { describe, expect, it } from 'vitest';
import {
  earlierRunsOf,
  loadRuns,
  MAX_EARLIER,
  runKey,
  saveRun,
} from '../../../worker-browser/page/earlier-runs.ts';
import type { RunState } from '../../../worker-browser/page/run-state.ts';
import { point, received, record, runMessage, stateAfter } from './run-fixtures.ts';

/** A browser's storage. */
function memory(text: string | null = null) {
  const store = { text };
  return {
    store,
    open: () => ({
      getItem: () => store.text,
      setItem: (_: string, value: string) => void (store.text = value),
    }),
  };
}
const runOf = (seconds: number, points = 5): RunState =>
  stateAfter(
    received(runMessage(Array.from({ length: points }, (_, i) => point(i + 1, 1 / (i + 1))))),
    received({ type: 'epoch', record: { ...record, seconds } }),
  );

describe('earlier runs', () => {
  it('are stored by run: once more replaces it, another one comes before', () => {
    const { open } = memory();
    saveRun(open, runOf(10));
    saveRun(open, runOf(10, 9));
    saveRun(open, runOf(11));
    const stored = loadRuns(open);
    expect(stored.map(({ key, steps }) => [key, steps.length])).toEqual([
      ['mnist 11', 5],
      ['mnist 10', 9],
    ]);
    expect(stored[0]!.epochs).toEqual([[1, 0.5, 0.8]]);
    expect(earlierRunsOf(stored, runOf(11)).map(({ key }) => key)).toEqual(['mnist 10']);
  });

  it('are those with the same data, as many as fit, in bounded memory', () => {
    const { open, store } = memory();
    for (let i = 0; i < 20; i++) saveRun(open, runOf(i, 5_000));
    expect(store.text!.length).toBeLessThan(100_000);
    const stored = loadRuns(open);
    expect(earlierRunsOf(stored, runOf(99))).toHaveLength(MAX_EARLIER);
    expect(earlierRunsOf([{ ...stored[0]!, data: 'other' }], runOf(99))).toEqual([]);
  });

  it('are none before the first epoch, without storage, and where something else is stored', () => {
    expect(runKey(stateAfter(received(runMessage())))).toBeNull();
    const closed = () => {
      throw new Error('Storage is disabled.');
    };
    saveRun(closed, runOf(1));
    expect(loadRuns(closed)).toEqual([]);
    for (const text of [
      'nonsense',
      '{}',
      '[{"key":1}]',
      '[{"key":"k","data":"d","metric":"m","steps":[[1,"<b>",2]],"epochs":[]}]',
    ]) {
      expect(loadRuns(memory(text).open)).toEqual([]);
    }
  });
});

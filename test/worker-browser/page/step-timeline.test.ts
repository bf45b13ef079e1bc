import { describe, expect, it } from 'vitest';
import type { StepTimeline, TimelineShard } from '../../../shared/protocol/messages.ts';
import { createTimelineView } from '../../../worker-browser/page/step-timeline.ts';
import { progress, received, runMessage, stateAfter, worker } from './run-fixtures.ts';

const shard = (id: string, more: Partial<TimelineShard> = {}): TimelineShard => ({
  id,
  samples: 64,
  startMs: 0,
  computeMs: 40,
  receiveMs: 5,
  endMs: 50,
  ...more,
});
const viewOf = (timeline: Partial<StepTimeline>, ownId: string | null = null) => {
  const workers = ['a', 'b', 'c'].map((id) => worker(id));
  const state = stateAfter(
    received(runMessage()),
    received(
      progress({
        workers,
        timeline: { step: 7, durationMs: 100, shards: [shard('a')], omitted: 0, ...timeline },
      }),
    ),
    { type: 'ownId', id: ownId },
  );
  return createTimelineView(state)!;
};

describe('the timeline of a step', () => {
  it('is missing until the coordinator has sent one, and stays while messages have none', () => {
    const before = stateAfter(received(runMessage()), received(progress()));
    expect(createTimelineView(before)).toBeNull();
    const timeline = { step: 7, durationMs: 100, shards: [shard('a')], omitted: 0 };
    const after = stateAfter(received(runMessage()), received(progress({ timeline })), received(progress()));
    expect(createTimelineView(after)?.title).toBe('Step 7: 100\u00a0ms');
  });

  it('shows when each worker receives, computes, sends and waits', () => {
    const { rows } = viewOf({ shards: [shard('a'), shard('b', { startMs: 10 })] }, 'b');
    expect(rows.map(({ name }) => name)).toEqual(['worker a', 'this tab', 'coordinator']);
    expect(rows[0]!.parts).toEqual([
      { activity: 'receives', from: 0, to: 0.05 },
      { activity: 'computes', from: 0.05, to: 0.45 },
      { activity: 'sends', from: 0.45, to: 0.5 },
      { activity: 'waits', from: 0.5, to: 1 },
    ]);
    expect(rows[0]!.text).toBe(
      'on its way 5\u00a0ms, computes 40\u00a0ms, sends 5\u00a0ms, waits 50\u00a0ms',
    );
    // Its shard came 10 ms later and its answer did not, so it was sent faster.
    expect(rows[1]!.parts[0]).toEqual({ activity: 'waits', from: 0, to: 0.1 });
    expect(rows.at(-1)!.parts.at(-1)).toEqual({ activity: 'computes', from: 0.5, to: 1 });
  });

  it('names the worker that the step waited for alone', () => {
    const view = viewOf({ shards: [shard('b', { computeMs: 80, endMs: 90 }), shard('a')] });
    expect(view.text).toBe('The step waited 40\u00a0ms for worker b alone, which computed for 80\u00a0ms.');
    expect(view.rows.filter(({ isStraggler }) => isStraggler).map(({ name }) => name)).toEqual(['worker b']);
    // The other worker has begun to compute the same samples.
    const duplicate = [shard('a'), shard('a', { startMs: 60, endMs: null }), shard('b', { endMs: 95 })];
    expect(viewOf({ shards: duplicate }).text).toContain('waited 45\u00a0ms for worker b alone');
    expect(viewOf({ shards: [shard('a'), shard('b')] }).text).toBe(
      'No worker kept the others waiting for long.',
    );
  });

  it('cuts what a worker claims to the time that it had, and counts workers that it does not list', () => {
    const { rows, text } = viewOf({
      shards: [shard('a', { computeMs: 1e9, receiveMs: 1e9 }), shard('gone', { endMs: null })],
      omitted: 3,
    });
    for (const { parts } of rows) {
      expect(parts.every(({ from, to }) => from >= 0 && from < to && to <= 1)).toBe(true);
    }
    expect(rows[1]).toMatchObject({
      name: 'a worker that left',
      parts: [{ activity: 'receives', from: 0, to: 1 }],
    });
    expect(text).toContain('3 more answered before these.');
  });
});

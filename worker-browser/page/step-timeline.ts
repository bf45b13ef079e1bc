import type { StepTimeline, TimelineShard } from '../../shared/protocol/messages.ts';
import { formatCount, formatMs } from './format.ts';
import { shownOwnId, type RunState } from './run-state.ts';

/** Work of a worker during a part of a step. `receives` includes all time until it computes. */
export type Activity = 'receives' | 'computes' | 'sends' | 'waits';

/** Part of a bar, as fractions of the step. */
export interface TimelinePart {
  readonly activity: Activity;
  readonly from: number;
  readonly to: number;
}

/** Bar of one worker, or of the coordinator. */
export interface TimelineRow {
  readonly key: string;
  readonly name: string;
  readonly isOwn: boolean;
  /** Whether the step waited for it alone. */
  readonly isStraggler: boolean;
  readonly parts: readonly TimelinePart[];
  /** The same in words. */
  readonly text: string;
}

/** A step as the page shows it. */
export interface TimelineView {
  readonly title: string;
  /** The worker that the step waited for, in a sentence or two. */
  readonly text: string;
  readonly rows: readonly TimelineRow[];
}

/** Key of the coordinator's row. */
export const COORDINATOR = 'coordinator';
/** Rows that fit on a screen. */
const MAX_ROWS = 12;
/** Shorter parts would be written as 0 ms. */
const MIN_NAMED_MS = 0.05;
/** Part of a step by which its last answer is later than that of the next worker, for a straggler. */
const MIN_LAG = 0.1;
const WORDS: Readonly<Record<Activity, string>> = {
  receives: 'on its way',
  computes: 'computes',
  sends: 'sends',
  waits: 'waits',
};

/** Timeline of the run's most recent known step; null before there is one. */
export function createTimelineView(run: RunState): TimelineView | null {
  const { timeline, progress } = run;
  const ownId = shownOwnId(run);
  if (timeline === null) return null;
  const names = new Map(progress?.workers.map(({ id, name }) => [id, name]));
  const nameOf = (id: string): string =>
    id === ownId ? 'this tab' : (names.get(id) ?? 'a worker that left');
  const workers = [...new Set(timeline.shards.map(({ id }) => id))].map((id) => {
    const shards = timeline.shards.filter((shard) => shard.id === id).sort((a, b) => a.startMs - b.startMs);
    return {
      id,
      name: nameOf(id),
      shards,
      /** Last answer; null if there was none. */
      endMs: shards.reduce<number | null>(
        (last, { endMs }) => (endMs === null ? last : Math.max(endMs, last ?? 0)),
        null,
      ),
    };
  });
  const [last, next] = workers
    .flatMap(({ endMs, ...worker }) => (endMs === null ? [] : [{ ...worker, endMs }]))
    .sort((a, b) => b.endMs - a.endMs);
  const lagMs = last === undefined || next === undefined ? 0 : last.endMs - next.endMs;
  const straggler = lagMs > MIN_LAG * timeline.durationMs ? last : undefined;
  const rows = workers.slice(0, MAX_ROWS).map(({ id, name, shards }): TimelineRow => {
    const parts = partsOf(shards, timeline);
    return {
      key: id,
      name,
      isOwn: id === ownId,
      isStraggler: id === straggler?.id,
      parts,
      text: describeParts(parts, timeline.durationMs),
    };
  });
  return {
    title: `Step ${formatCount(timeline.step)}: ${formatMs(timeline.durationMs)}`,
    text: [
      ...describeWait(straggler, lagMs, workers),
      ...describeOmitted(timeline.omitted + Math.max(0, workers.length - MAX_ROWS)),
    ].join(' '),
    rows: [...rows, coordinatorRow(timeline)],
  };
}

function describeWait(
  straggler: { readonly name: string; readonly shards: readonly TimelineShard[] } | undefined,
  lagMs: number,
  workers: readonly unknown[],
): string[] {
  if (straggler === undefined)
    return workers.length < 2 ? [] : ['No worker kept the others waiting for long.'];
  const { name, shards } = straggler;
  const computeMs = shards.reduce((sum, shard) => sum + shard.computeMs, 0);
  return [`The step waited ${formatMs(lagMs)} for ${name} alone, which computed for ${formatMs(computeMs)}.`];
}

const describeOmitted = (count: number): string[] =>
  count === 0 ? [] : [`${formatCount(count)} more answered before these.`];

/** A worker's parts from the begin to the end of the step. A part that a worker reports is cut to the time that it had. */
function partsOf(shards: readonly TimelineShard[], { durationMs: ms }: StepTimeline): TimelinePart[] {
  const parts: TimelinePart[] = [];
  let atMs = 0;
  const add = (activity: Activity, untilMs: number): void => {
    const toMs = Math.min(Math.max(untilMs, atMs), ms);
    if (toMs > atMs) parts.push({ activity, from: atMs / ms, to: toMs / ms });
    atMs = toMs;
  };
  for (const { startMs, computeMs, receiveMs, endMs } of shards) {
    add('waits', startMs);
    if (endMs === null) {
      // It has not said what it does.
      add('receives', ms);
      continue;
    }
    const sentFromMs = Math.max(atMs, endMs - receiveMs);
    add('receives', Math.max(atMs, sentFromMs - computeMs));
    add('computes', sentFromMs);
    add('sends', endMs);
  }
  add('waits', ms);
  return parts;
}

/** The coordinator waits for the last answer, and then updates the weights. */
function coordinatorRow(timeline: StepTimeline): TimelineRow {
  const lastMs = Math.max(0, ...timeline.shards.map(({ endMs }) => endMs ?? 0));
  const from = Math.min(1, lastMs / timeline.durationMs);
  const parts: TimelinePart[] = [
    { activity: 'waits', from: 0, to: from },
    { activity: 'computes', from, to: 1 },
  ];
  return {
    key: COORDINATOR,
    name: 'coordinator',
    isOwn: false,
    isStraggler: false,
    parts,
    text: describeParts(parts, timeline.durationMs),
  };
}

/** Such as `on its way 3 ms, computes 40 ms, waits 12 ms`. */
const describeParts = (parts: readonly TimelinePart[], ms: number): string =>
  parts
    .filter(({ from, to }) => (to - from) * ms >= MIN_NAMED_MS)
    .map(({ activity, from, to }) => `${WORDS[activity]} ${formatMs((to - from) * ms)}`)
    .join(', ');

import { describe, expect, it } from 'vitest';
import { LinkMeter } from '../../../coordinator/links/link-figures.ts';
import { LinkProbe } from '../../../coordinator/links/link-probe.ts';
import { manualClock } from '../../support/manual-clock.ts';

const BYTES = 1_000_000;
const answer = { samples: 32, turnaroundMs: 300, computeMs: 100 };

describe('the figures of a link', () => {
  it('are not known before two answers, and something large that has crossed it', () => {
    const link = new LinkMeter();
    link.delivered(0, 4);
    link.answered(answer);
    expect([link.shard, link.figures]).toEqual([null, null]);
    link.answered(answer);
    expect([link.shard, link.figures]).toEqual([answer, null]);
    link.delivered(BYTES, 104);
    expect(link.figures).toEqual({ ...answer, rttMs: 4, downMsPerByte: 1e-4, upMsPerByte: 1e-4 });
    link.arrived(BYTES, 400);
    expect(link.figures?.upMsPerByte).toBeCloseTo(4e-4);
  });

  it('do not follow one hiccup, and forget the answers of other codecs', () => {
    const link = new LinkMeter();
    for (const ms of [100, 100, 5000, 100, 100]) {
      link.delivered(BYTES, ms);
      link.answered({ ...answer, turnaroundMs: ms + 100 });
    }
    expect(link.figures).toMatchObject({ downMsPerByte: 1e-4, turnaroundMs: 200 });
    link.changed();
    expect(link.figures).toBeNull();
    for (let i = 0; i < 3; i++) link.answered({ ...answer, turnaroundMs: 150 });
    expect(link.figures).toMatchObject({ downMsPerByte: 1e-4, turnaroundMs: 150 });
  });
});

describe('a probe of a link', () => {
  it('pings behind a large message, and once more to let through what was sent meanwhile', () => {
    const clock = manualClock();
    const measured: [number, number][] = [];
    let pings = 0;
    const probe = new LinkProbe({
      clock,
      ping: () => pings++,
      onMeasured: (...figures) => measured.push(figures),
    });
    probe.begin();
    clock.skip(3);
    expect(probe.answered(0)).toBe(true);
    probe.sent(100);
    expect(pings).toBe(1);
    probe.sent(BYTES);
    clock.skip(80);
    probe.sent(BYTES);
    expect([pings, probe.answered(7)]).toEqual([2, false]);
    clock.skip(20);
    expect(probe.answered(1)).toBe(true);
    expect(measured).toEqual([
      [0, 3],
      [BYTES, 100],
    ]);
    // The second message is still on its way: the third would be measured with it.
    expect(pings).toBe(3);
    clock.skip(80);
    probe.answered(2);
    probe.sent(BYTES);
    clock.skip(100);
    probe.answered(3);
    expect(measured.slice(2)).toEqual([[BYTES, 100]]);
  });
});

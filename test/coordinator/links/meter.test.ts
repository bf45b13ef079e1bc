import { describe, expect, it } from 'vitest';
import { LinkMeter, type Delivery } from '../../../coordinator/links/meter.ts';
import { LinkProbe } from '../../../coordinator/links/link-probe.ts';
import { manualClock } from '../../support/manual-clock.ts';

const BYTES = 1_000_000;
const answer = { samples: 32, turnaroundMs: 300, computeMs: 100 };

describe('the figures of a link', () => {
  it('are not known before two answers, and something large that has crossed it', () => {
    const link = new LinkMeter();
    link.recordDownload([{ bytes: 0, elapsedMs: 4 }]);
    link.recordAnswer(answer);
    expect([link.shard, link.stats]).toEqual([null, null]);
    link.recordAnswer(answer);
    expect([link.shard, link.stats]).toEqual([answer, null]);
    link.recordDownload([{ bytes: BYTES, elapsedMs: 104 }]);
    expect(link.stats).toEqual({ ...answer, rttMs: 4, downMsPerByte: 1e-4, upMsPerByte: 1e-4 });
    link.recordUpload(BYTES, 400);
    expect(link.stats?.upMsPerByte).toBeCloseTo(4e-4);
  });

  it('do not take for its rate that a link had to wait between two pieces, or a piece for those before it', () => {
    for (const [elapsedMs, msPerByte] of [
      // One after the other without a gap, and then with one.
      [[300, 290, 280], 1e-4],
      [[500, 200, 190], 1e-4],
      [[500, 400, 100], 1e-4],
    ] as const) {
      const link = new LinkMeter();
      for (let i = 0; i < 2; i++) link.recordAnswer(answer);
      link.recordDownload(elapsedMs.map((ms, i) => ({ bytes: (3 - i) * BYTES, elapsedMs: ms })));
      expect(link.stats?.downMsPerByte).toBeCloseTo(msPerByte, 9);
    }
  });

  it('do not follow one hiccup, and forget the answers of other codecs', () => {
    const link = new LinkMeter();
    for (const ms of [100, 100, 5000, 100, 100]) {
      link.recordDownload([{ bytes: BYTES, elapsedMs: ms }]);
      link.recordAnswer({ ...answer, turnaroundMs: ms + 100 });
    }
    expect(link.stats).toMatchObject({ downMsPerByte: 1e-4, turnaroundMs: 200 });
    link.onCodecChange();
    expect(link.stats).toBeNull();
    for (let i = 0; i < 3; i++) link.recordAnswer({ ...answer, turnaroundMs: 150 });
    expect(link.stats).toMatchObject({ downMsPerByte: 1e-4, turnaroundMs: 150 });
  });
});

function probing() {
  const clock = manualClock();
  const measured: (readonly Delivery[])[] = [];
  let pings = 0;
  const probe = new LinkProbe({
    clock,
    ping: () => pings++,
    onMeasured: (deliveries) => measured.push(deliveries),
  });
  return { clock, probe, measured, pings: () => pings };
}

describe('a probe of a link', () => {
  it('pings behind a large message, and once more to let through what was sent meanwhile', () => {
    const { clock, probe, measured, pings } = probing();
    probe.recordSent(100);
    expect(pings()).toBe(0);
    probe.recordSent(BYTES);
    clock.skip(80);
    probe.recordSent(BYTES);
    expect([pings(), probe.onPong(7)]).toEqual([1, false]);
    clock.skip(20);
    expect(probe.onPong(0)).toBe(true);
    expect(measured).toEqual([[{ bytes: BYTES, elapsedMs: 100 }]]);
    // The second message is still on its way: the third would be measured with it.
    expect(pings()).toBe(2);
    clock.skip(80);
    probe.onPong(1);
    probe.recordSent(BYTES);
    clock.skip(100);
    probe.onPong(2);
    expect(measured.slice(1)).toEqual([[{ bytes: BYTES, elapsedMs: 100 }]]);
  });

  it('pings three times to begin with, for the delay alone, or until there is something to be measured', () => {
    const { clock, probe, measured, pings } = probing();
    probe.start();
    for (const [id, ms] of [20, 3, 4].entries()) {
      expect(pings()).toBe(id + 1);
      clock.skip(ms);
      probe.onPong(id);
    }
    expect([pings(), measured.flat()]).toEqual([3, [20, 3, 4].map((elapsedMs) => ({ bytes: 0, elapsedMs }))]);
    const busy = probing();
    busy.probe.start();
    busy.probe.recordSent(BYTES);
    // To let the message through, and then no more.
    for (const id of [0, 1]) busy.probe.onPong(id);
    expect([busy.pings(), busy.measured]).toEqual([2, [[{ bytes: 0, elapsedMs: 0 }]]]);
  });

  it('pings behind the last of several pieces, and says what came since each of them', () => {
    const { clock, probe, measured, pings } = probing();
    probe.recordSent(BYTES, true);
    clock.skip(10);
    probe.recordSent(BYTES, true);
    clock.skip(10);
    // What is too small to say anything ends nothing.
    probe.recordSent(100);
    expect(pings()).toBe(0);
    probe.recordSent(BYTES, false);
    expect(pings()).toBe(1);
    clock.skip(280);
    probe.onPong(0);
    expect(measured).toEqual([
      [
        { bytes: 3 * BYTES, elapsedMs: 300 },
        { bytes: 2 * BYTES, elapsedMs: 290 },
        { bytes: BYTES, elapsedMs: 280 },
      ],
    ]);
  });
});

import { describe, expect, it } from 'vitest';
import { LinkMeter, type Delivery } from '../../../coordinator/links/meter.ts';
import { LinkProbe } from '../../../coordinator/links/link-probe.ts';
import { shardId, step } from '../../shared/protocol/examples.ts';
import { manualClock } from '../../support/manual-clock.ts';

const BYTES = 1_000_000;
const answer = { samples: 32, turnaroundMs: 300, computeMs: 100 };

describe('the timings of shards', () => {
  const shard = (id: number, ofStep = 1) => ({
    step: step(ofStep),
    shard: shardId(id),
    samples: 8,
    assignedMs: 100,
  });

  it('are those of one step, with the answer once it is there', () => {
    const link = new LinkMeter();
    link.recordAssignment(shard(1));
    link.recordAssignment(shard(2));
    link.recordUpload(5, 3);
    link.recordEnd(shardId(1), 130, 20);
    expect(link.timings).toEqual([
      { ...shard(1), answer: { atMs: 130, computeMs: 20, receiveMs: 3 } },
      { ...shard(2), answer: null },
    ]);
    link.recordAssignment(shard(3, 2));
    // A late answer to a shard of the step before.
    link.recordEnd(shardId(2), 140, 20);
    expect(link.timings).toEqual([{ ...shard(3, 2), answer: null }]);
  });

  it('are bounded', () => {
    const link = new LinkMeter();
    for (let i = 0; i < 100; i++) link.recordAssignment(shard(i));
    expect(link.timings).toHaveLength(16);
  });
});

describe('the measurements of a link', () => {
  it('need two answers, and a large message that has crossed the link', () => {
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

  it('ignore idle time between two buckets, and waiting time of a bucket behind others', () => {
    for (const [elapsedMs, msPerByte] of [
      // Three buckets without a gap, then with a gap behind the first or the second.
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

  it('ignore a single slow message, and forget the answers of other codecs', () => {
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

describe('the probe of a link', () => {
  it('pings behind a large message, and once more behind messages that were sent in the meantime', () => {
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
    // The second message has not arrived yet: the time of the third one would include it.
    expect(pings()).toBe(2);
    clock.skip(80);
    probe.onPong(1);
    probe.recordSent(BYTES);
    clock.skip(100);
    probe.onPong(2);
    expect(measured.slice(1)).toEqual([[{ bytes: BYTES, elapsedMs: 100 }]]);
  });

  it('begins with three pings for the round trip, or fewer if there is a message to measure', () => {
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
    // The second ping waits for the message, and no other follows.
    for (const id of [0, 1]) busy.probe.onPong(id);
    expect([busy.pings(), busy.measured]).toEqual([2, [[{ bytes: 0, elapsedMs: 0 }]]]);
  });

  it('pings behind the last of several buckets, and measures from each of them on', () => {
    const { clock, probe, measured, pings } = probing();
    probe.recordSent(BYTES, true);
    clock.skip(10);
    probe.recordSent(BYTES, true);
    clock.skip(10);
    // A small message does not end the vector.
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

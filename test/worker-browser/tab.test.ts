import { describe, expect, it } from 'vitest';
import { viewShard } from '../../shared/data/shard.ts';
import type { Engine, GradientComputer } from '../../shared/engine/engine.ts';
import { benchmarkJob } from '../../shared/engine/benchmark-job.ts';
import type { Job } from '../../shared/model/job.ts';
import { PROTOCOL_VERSION, type RunMessage, type Step } from '../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../shared/protocol/parse.ts';
import type { ConnectionEvents } from '../../shared/protocol/transport.ts';
import { throttledEngine } from '../../worker-browser/tab-session.ts';
import type { RunEvent } from '../../worker-browser/page/run-state.ts';
import { watchRun } from '../../worker-browser/page/watch-run.ts';
import { PictureReader } from '../../worker-browser/picture-reader.ts';
import { manualClock, settle, type ManualClock } from '../support/manual-clock.ts';

const job = {
  layout: [{ shape: [1], trainable: true }],
  data: { sampleShape: [1], classes: 2 },
} as unknown as Job;
const { job: realJob } = benchmarkJob(1);
const shard = viewShard(new Uint8Array(6), 1, [1]);
const picture = new Uint8Array([9]);

/** Computes for 100 ms of the clock, and notes what it does. */
function slowEngine(clock: ManualClock) {
  const done: string[] = [];
  let weight = 0;
  const after = <T>(ms: number, value: T) =>
    new Promise<T>((resolve) => void clock.after(ms, () => resolve(value)));
  const trainer: GradientComputer = {
    setWeights: ([first = 0]) => void (weight = first),
    async gradient() {
      done.push('gradient starts');
      const result = await after(100, { lossSum: 1, correct: 1 });
      done.push('gradient ends');
      return result;
    },
    prepare: () => undefined,
    evaluate: () => after(100, { lossSum: 1, correct: 1 }),
    predict: () => {
      done.push(`reads with ${weight}`);
      return Promise.resolve(new Float32Array([0.25, 0.75]));
    },
    dispose: () => void done.push('disposed'),
  };
  const engine: Engine = {
    info: { backend: 'wasm', version: '', device: '', threads: 1 },
    load: () => Promise.resolve(trainer),
  };
  return { engine, done };
}
const gradientOf = (trainer: GradientComputer) => trainer.gradient(0 as Step, shard, new Float32Array(1));

describe('a share of the time', () => {
  const answeredAfter = async (share: number, stopAtMs = Infinity): Promise<number> => {
    const clock = manualClock();
    const stop = new AbortController();
    const trainer = await throttledEngine(slowEngine(clock).engine, () => share, clock, stop.signal).load(
      job,
    );
    let atMs = -1;
    void gradientOf(trainer).then(() => (atMs = clock.now()));
    for (let ms = 0; ms < 1_000; ms += 50) {
      if (ms >= stopAtMs) stop.abort();
      await clock.advance(50);
    }
    return atMs;
  };

  it.each([
    [1, 100],
    [0.5, 200],
    [0.25, 400],
  ])('of %d answers a shard of 100 ms after %d ms', async (share, ms) => {
    expect(await answeredAfter(share)).toBe(ms);
  });

  it('does not keep somebody who leaves waiting', async () => {
    expect(await answeredAfter(0.25, 200)).toBe(200);
  });
});

describe('reading a picture', () => {
  /** A reader with an engine of its own, and a contributing tab's trainer beside it. */
  const reading = async () => {
    const clock = manualClock();
    const own = slowEngine(clock);
    const shards = slowEngine(clock);
    const told: (readonly number[])[] = [];
    const notes: string[] = [];
    let opened = 0;
    let lose = (): void => undefined;
    const reader = new PictureReader({
      open() {
        opened++;
        const lost = new Promise<string>((resolve) => (lose = () => resolve('gone')));
        return Promise.resolve({ engine: own.engine, lost, close: () => own.done.push('closed') });
      },
      clock,
      onPrediction: (probabilities) => void told.push(probabilities),
      note: (line) => void notes.push(line),
    });
    const trainer = await reader.tapWeights(shards.engine).load(job);
    return {
      clock,
      reader,
      trainer,
      told,
      notes,
      done: own.done,
      opened: () => opened,
      lose: () => lose(),
    };
  };

  it('happens while a shard is computed, with the newest weights', async () => {
    const { clock, reader, trainer, told, done } = await reading();
    reader.show(picture);
    trainer.setWeights(new Float32Array([1]));
    void gradientOf(trainer);
    await clock.advance(10);
    expect(done).toEqual(['reads with 1']);
    expect(told).toEqual([[0.25, 0.75]]);
    trainer.setWeights(new Float32Array([2]));
    await clock.advance(70);
    expect(done.at(-1)).toBe('reads with 2');
  });

  it('is done at most some twelve times a second, and not at all without a picture', async () => {
    const { clock, reader, trainer, done, opened } = await reading();
    const second = async (): Promise<number> => {
      done.length = 0;
      for (let ms = 0; ms < 1_000; ms += 10) {
        trainer.setWeights(new Float32Array([ms]));
        await clock.advance(10);
      }
      return done.length;
    };
    expect(await second()).toBe(0);
    expect(opened()).toBe(0);
    reader.show(picture);
    const times = await second();
    expect(times).toBeGreaterThanOrEqual(10);
    expect(times).toBeLessThanOrEqual(13);
    reader.show(null);
    expect(await second()).toBe(0);
  });

  it('takes weights in parts', async () => {
    const { clock, reader, trainer, done } = await reading();
    reader.show(picture);
    trainer.setWeights(new Float32Array([3]), 0);
    trainer.setWeights(new Float32Array(0), 1);
    await clock.advance(10);
    expect(done).toEqual(['reads with 3']);
  });

  it('takes weights from elsewhere for a tab that only watches, and gives its memory back', async () => {
    const { clock, reader, done, opened } = await reading();
    reader.show(picture);
    reader.readWith(job, new Uint8Array(new Float32Array([7]).buffer));
    await clock.advance(1);
    expect(done).toEqual(['reads with 7']);
    reader.show(null);
    await clock.advance(60_000);
    expect(done).toEqual(['reads with 7', 'disposed']);
    reader.show(picture);
    await clock.advance(1_000);
    expect(done.at(-1)).toBe('reads with 7');
    // Its engine stays: when the run is over, there may be no server to load it from.
    expect(opened()).toBe(1);
  });

  it('opens its engine before there is anything to read, once', async () => {
    const { clock, reader, done, opened } = await reading();
    reader.prepare();
    reader.prepare();
    expect(opened()).toBe(1);
    await clock.advance(60_000);
    reader.show(picture);
    reader.readWith(job, new Uint8Array(new Float32Array([7]).buffer));
    await clock.advance(1);
    expect(done).toEqual(['reads with 7']);
    expect(opened()).toBe(1);
  });

  it('passes over weights that are none of the job', async () => {
    const { clock, reader, done, notes } = await reading();
    reader.show(picture);
    reader.readWith(job, new Uint8Array(8));
    await clock.advance(1_000);
    expect([...done, ...notes]).toEqual([]);
  });

  it('opens another engine when the one that it has is lost', async () => {
    const { clock, reader, trainer, done, opened, lose } = await reading();
    reader.show(picture);
    trainer.setWeights(new Float32Array([1]));
    await clock.advance(10);
    lose();
    await clock.advance(100);
    trainer.setWeights(new Float32Array([2]));
    await clock.advance(100);
    expect(done).toEqual(['reads with 1', 'closed', 'reads with 2']);
    expect(opened()).toBe(2);
  });

  it("leaves a picture of another job's shape alone", async () => {
    const { clock, reader, trainer, done, notes } = await reading();
    reader.show(new Uint8Array(2));
    trainer.setWeights(new Float32Array([1]));
    await clock.advance(1_000);
    expect([...done, ...notes]).toEqual([]);
  });
});

describe('watching a run', () => {
  const watching = () => {
    const clock = manualClock();
    const events: RunEvent[] = [];
    const sent: string[] = [];
    const closed: string[] = [];
    const sockets: ConnectionEvents[] = [];
    const watch = watchRun({
      url: 'ws://host/',
      token: 'secret',
      connect(_url, socket) {
        sockets.push(socket);
        return {
          send: (frame) => void sent.push(parseFromWorker(frame).message.type),
          close: (_code, reason) => void closed.push(reason),
          terminate: () => undefined,
          bufferedBytes: 0,
        };
      },
      clock,
      random: () => 0,
      onEvent: (event) => void events.push(event),
      onWeights: (payload) => void sent.push(`weights of ${payload.length}`),
    });
    return { clock, events, sent, closed, sockets, watch, types: () => events.map(({ type }) => type) };
  };

  it('says watch, asks for weights, and comes back with growing pauses', async () => {
    const { clock, sent, sockets, watch, types } = watching();
    watch.askForWeights();
    sockets[0]!.onOpen();
    watch.askForWeights();
    sockets[0]!.onFrame(
      frameFromCoordinator({ type: 'weights', step: 3 as Step, offset: 0 }, new Uint8Array(8)),
    );
    expect(sent).toEqual(['watch', 'snapshot', 'weights of 8']);
    sockets[0]!.onClose(1006, 'lost');
    await clock.advance(250);
    expect(sockets).toHaveLength(2);
    sockets[1]!.onClose(1006, 'lost');
    await clock.advance(499);
    expect(sockets).toHaveLength(2);
    await clock.advance(1);
    expect(sockets).toHaveLength(3);
    sockets[2]!.onClose(1006, 'lost');
    watch.retryNow();
    expect(sockets).toHaveLength(4);
    expect(types().filter((type) => type === 'lost')).toHaveLength(3);
  });

  it('looks for the next run when this one is finished, without a word until there is one', async () => {
    const { clock, events, sockets, types } = watching();
    const finished = frameFromCoordinator({ type: 'finished', reason: 'done' });
    sockets[0]!.onOpen();
    sockets[0]!.onFrame(finished);
    sockets[0]!.onClose(1000, 'done');
    await clock.advance(5_000);
    expect(sockets).toHaveLength(1);
    await clock.advance(5_000);
    expect(sockets).toHaveLength(2);
    sockets[1]!.onClose(1006, 'nobody there');
    await clock.advance(10_000);
    expect(sockets).toHaveLength(3);
    expect(types()).toEqual(['connecting', 'message']);
    const run: RunMessage = {
      type: 'run',
      protocol: PROTOCOL_VERSION,
      job: realJob,
      steps: 1,
      curve: [],
      epochs: [],
    };
    sockets[2]!.onOpen();
    sockets[2]!.onFrame(frameFromCoordinator(run));
    expect(events.at(-1)).toMatchObject({ type: 'message', message: { type: 'run' } });
    sockets[2]!.onClose(1006, 'lost');
    expect(types().at(-1)).toBe('lost');
  });

  it('closes with a reason that a WebSocket can carry, whatever it was sent', () => {
    const { sockets, closed } = watching();
    sockets[0]!.onOpen();
    const notice = { type: 'ping', id: '誰'.repeat(100) };
    sockets[0]!.onFrame(frameFromCoordinator(notice as never));
    expect(closed).toHaveLength(1);
    expect(new TextEncoder().encode(closed[0]).length).toBeLessThanOrEqual(123);
  });

  it('does not come back when it is not let in', async () => {
    const refused = watching();
    refused.sockets[0]!.onClose(4426, 'Another protocol.');
    await refused.clock.advance(60_000);
    await settle();
    expect(refused.events.at(-1)).toEqual({ type: 'over', reason: 'Another protocol.', looking: false });
    expect(refused.sockets).toHaveLength(1);
    expect(refused.clock.pending).toBe(0);
    const locked = watching();
    locked.sockets[0]!.onClose(4401, 'Wrong token.');
    await locked.clock.advance(60_000);
    expect(locked.events.at(-1)).toEqual({ type: 'locked' });
    expect(locked.sockets).toHaveLength(1);
  });
});

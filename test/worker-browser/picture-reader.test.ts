import { describe, expect, it } from 'vitest';
import { viewShard } from '../../shared/data/shard.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { PictureReader } from '../../worker-browser/picture-reader.ts';
import { manualClock } from '../support/manual-clock.ts';
import { oneWeightJob, slowEngine } from './slow-engine.ts';
import { imageTensors } from '../../shared/model/tensors.ts';

const shard = viewShard(new Uint8Array(12), 1, imageTensors([1], 2));
const picture = new Uint8Array([9]);
const payloadOf = (weight: number) => new Uint8Array(new Float32Array([weight]).buffer);

/** A reader with an engine of its own; `computer` computes the shards of a contributing tab. */
async function startReader() {
  const clock = manualClock();
  const own = slowEngine(clock);
  const predictions: (readonly number[])[] = [];
  const predicted: number[][] = [];
  const notes: string[] = [];
  let opened = 0;
  let lose = (): void => undefined;
  const reader = new PictureReader({
    open() {
      opened++;
      const lost = new Promise<string>((resolve) => (lose = () => resolve('gone')));
      return Promise.resolve({ engine: own.engine, lost, close: () => own.log.push('close') });
    },
    clock,
    onPrediction: (probabilities) => void predictions.push(probabilities),
    onSamplePredictions: (values) => void predicted.push([...values]),
    note: (line) => void notes.push(line),
  });
  const computer = await reader.tapWeights(slowEngine(clock).engine).load(oneWeightJob);
  return {
    clock,
    reader,
    computer,
    predictions,
    predicted,
    notes,
    log: own.log,
    opened: () => opened,
    lose: () => lose(),
  };
}

it('classifies a picture while a shard is computed, with the newest weights', async () => {
  const { clock, reader, computer, predictions, log } = await startReader();
  reader.show(picture);
  computer.setWeights(new Float32Array([1]));
  void computer.gradient(0 as Step, shard, new Float32Array(1));
  await clock.advance(10);
  expect(log).toEqual(['predict with 1']);
  expect(predictions).toEqual([[0.25, 0.75]]);
  computer.setWeights(new Float32Array([2]));
  await clock.advance(70);
  expect(log.at(-1)).toBe('predict with 2');
});

it('predicts about twelve times a second at most, and not at all without a picture', async () => {
  const { clock, reader, computer, log, opened } = await startReader();
  const predictionsInASecond = async (): Promise<number> => {
    log.length = 0;
    for (let ms = 0; ms < 1_000; ms += 10) {
      computer.setWeights(new Float32Array([ms]));
      await clock.advance(10);
    }
    return log.length;
  };
  expect(await predictionsInASecond()).toBe(0);
  expect(opened()).toBe(0);
  reader.show(picture);
  const count = await predictionsInASecond();
  expect(count).toBeGreaterThanOrEqual(10);
  expect(count).toBeLessThanOrEqual(13);
  reader.show(null);
  expect(await predictionsInASecond()).toBe(0);
});

it('uses the weights of a tab that only watches, and releases their memory', async () => {
  const { clock, reader, log, opened } = await startReader();
  reader.show(picture);
  reader.readWith(oneWeightJob, payloadOf(7));
  await clock.advance(1);
  expect(log).toEqual(['predict with 7']);
  reader.show(null);
  await clock.advance(60_000);
  expect(log).toEqual(['predict with 7', 'dispose']);
  reader.show(picture);
  await clock.advance(1_000);
  expect(log.at(-1)).toBe('predict with 7');
  // The engine stays open, because the coordinator that serves its files may have stopped.
  expect(opened()).toBe(1);
});

it('opens its engine before the first picture, once', async () => {
  const { clock, reader, log, opened } = await startReader();
  reader.prepare();
  reader.prepare();
  expect(opened()).toBe(1);
  await clock.advance(60_000);
  reader.show(picture);
  reader.readWith(oneWeightJob, payloadOf(7));
  await clock.advance(1);
  expect(log).toEqual(['predict with 7']);
  expect(opened()).toBe(1);
});

it("ignores weights that do not have the job's length", async () => {
  const { clock, reader, log, notes } = await startReader();
  reader.show(picture);
  reader.readWith(oneWeightJob, new Uint8Array(8));
  await clock.advance(1_000);
  expect([...log, ...notes]).toEqual([]);
});

it('opens another engine when its engine is lost', async () => {
  const { clock, reader, computer, log, opened, lose } = await startReader();
  reader.show(picture);
  computer.setWeights(new Float32Array([1]));
  await clock.advance(10);
  lose();
  await clock.advance(100);
  computer.setWeights(new Float32Array([2]));
  await clock.advance(100);
  expect(log).toEqual(['predict with 1', 'close', 'predict with 2']);
  expect(opened()).toBe(2);
});

it("ignores a picture of another job's shape", async () => {
  const { clock, reader, computer, log, notes } = await startReader();
  reader.show(new Uint8Array(2));
  computer.setWeights(new Float32Array([1]));
  await clock.advance(1_000);
  expect([...log, ...notes]).toEqual([]);
});

it('classifies with the weights that arrive while its engine is opened', async () => {
  const clock = manualClock();
  const own = slowEngine(clock);
  let finishOpening = (): void => undefined;
  const reader = new PictureReader({
    open: () =>
      new Promise((resolve) => {
        finishOpening = () =>
          resolve({ engine: own.engine, lost: new Promise(() => undefined), close: () => undefined });
      }),
    clock,
    onPrediction: () => undefined,
    note: () => undefined,
  });
  const computer = await reader.tapWeights(slowEngine(clock).engine).load(oneWeightJob);
  reader.show(picture);
  computer.setWeights(new Float32Array([1]));
  await clock.advance(10);
  computer.setWeights(new Float32Array([2]));
  finishOpening();
  await clock.advance(1_000);
  expect(own.log).toEqual(['predict with 2']);
});

describe('when its engine cannot be opened', () => {
  /** A reader whose engine opens after `failures` attempts. */
  function failingReader(failures: number) {
    const clock = manualClock();
    const own = slowEngine(clock);
    const predictions: (readonly number[])[] = [];
    const notes: string[] = [];
    let attempts = 0;
    const reader = new PictureReader({
      open: () =>
        ++attempts > failures
          ? Promise.resolve({
              engine: own.engine,
              lost: new Promise<string>(() => undefined),
              close: () => undefined,
            })
          : Promise.reject(new Error('its start took more than 10 s')),
      clock,
      onPrediction: (probabilities) => void predictions.push(probabilities),
      note: (line) => void notes.push(line),
    });
    reader.show(picture);
    reader.readWith(oneWeightJob, payloadOf(7));
    return { clock, reader, predictions, notes, attempts: () => attempts };
  }

  it('reads the picture when another attempt opens one, also if nothing changes', async () => {
    const { clock, predictions, notes, attempts } = failingReader(2);
    for (let s = 0; s < 5; s++) await clock.advance(1_000);
    expect(attempts()).toBe(3);
    expect(predictions).toEqual([[0.25, 0.75]]);
    expect(notes).toEqual([]);
  });

  it('gives up after some attempts, and says why, until there is another picture', async () => {
    const { clock, reader, predictions, notes, attempts } = failingReader(4);
    for (let s = 0; s < 60; s++) {
      reader.readWith(oneWeightJob, payloadOf(s));
      await clock.advance(1_000);
    }
    expect(attempts()).toBe(4);
    expect(notes).toEqual(['The picture cannot be read: its start took more than 10 s']);
    reader.show(picture);
    await clock.advance(1_000);
    expect(predictions).toEqual([[0.25, 0.75]]);
  });
});

describe('test samples', () => {
  const samples = { inputs: [new Uint8Array([1, 2])], count: 2 };

  it('are predicted when they are shown, and then every eight seconds at most, if the weights have changed', async () => {
    const { clock, reader, computer, predicted, log } = await startReader();
    computer.setWeights(new Float32Array([1]));
    await clock.advance(100);
    expect(log).toEqual([]);
    reader.showSamples(samples);
    await clock.advance(100);
    expect(predicted).toEqual([[0.25, 0.75]]);
    for (let i = 0; i < 160; i++) {
      computer.setWeights(new Float32Array([i]));
      await clock.advance(100);
    }
    expect(predicted.length).toBeGreaterThanOrEqual(2);
    expect(predicted.length).toBeLessThanOrEqual(3);
    await clock.advance(10_000);
    const count = predicted.length;
    await clock.advance(20_000);
    expect(predicted).toHaveLength(count);
    reader.showSamples(null);
    computer.setWeights(new Float32Array([9]));
    await clock.advance(60_000);
    expect(predicted).toHaveLength(count);
    expect(log.at(-1)).toBe('dispose');
  });

  it('do not hold up a picture, and are not predicted if they are those of another job', async () => {
    const { clock, reader, predictions, predicted } = await startReader();
    reader.showSamples(samples);
    reader.show(picture);
    reader.readWith(oneWeightJob, payloadOf(7));
    await clock.advance(100);
    expect([predictions.length, predicted.length]).toEqual([1, 1]);
    reader.show(new Uint8Array([8]));
    await clock.advance(100);
    expect([predictions.length, predicted.length]).toEqual([2, 1]);
    reader.showSamples({ inputs: [new Uint8Array(5)], count: 2 });
    await clock.advance(20_000);
    expect(predicted).toHaveLength(1);
  });
});

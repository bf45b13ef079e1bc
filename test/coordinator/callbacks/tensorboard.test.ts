import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  encodeSummary,
  EventFile,
  frameRecord,
  maskedCrc32c,
} from '../../../coordinator/callbacks/event-file.ts';
import { histogramOf, tensorBoard } from '../../../coordinator/callbacks/tensorboard.ts';
import { playHistory } from '../../support/callback-run.ts';
import { readEventFolder, readFields, readRecords, readValues } from '../../support/event-records.ts';
import { lowbias32 } from '../../support/hashed-values.ts';

const reference = (
  JSON.parse(readFileSync(new URL('../../reference/keras-callbacks.json', import.meta.url), 'utf8')) as {
    readonly events: { readonly file: string; readonly model: string };
  }
).events;

let dir: string;
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'gradcast-tensorboard-'))));
afterEach(() => rm(dir, { recursive: true, force: true }));

const history = {
  loss: [0.5, 0.25],
  val_loss: [0.75, 0.5],
  accuracy: [0.5, 0.75],
  val_accuracy: [0.25, 0.5],
};

describe('an event file', () => {
  it('has the bytes that the writer of TensorFlow 2.21 writes', () => {
    const bytes = Buffer.from(reference.file, 'base64');
    const wallTimes = readRecords(bytes).map((record) => readFields(record).get(1)![0] as number);
    const values = Float32Array.from({ length: 200 }, (_, i) =>
      Math.fround(Math.fround(lowbias32(9 + i)) / 2 ** 32),
    );
    const scalar = (tag: string, value: number) =>
      ({ tag, plugin: 'scalars', tensor: { dtype: 'float32', shape: [], values: [value] } }) as const;
    const histogram = (tag: string, of: Float32Array) =>
      ({
        tag,
        plugin: 'histograms',
        tensor: { dtype: 'float64', shape: [30, 3], values: histogramOf(of) },
      }) as const;
    const graph = {
      tag: 'keras',
      plugin: 'graph_keras_model',
      content: Buffer.from('1'),
      tensor: { dtype: 'string', text: reference.model },
    } as const;
    const events = [
      { step: 0, value: scalar('epoch_loss', 0.25) },
      { step: 300, value: scalar('batch_loss', 1.5) },
      { step: 3, value: histogram('dense/kernel/histogram', values) },
      { step: 70_000, value: histogram('dense/bias/histogram', new Float32Array(7).fill(0.5)) },
      { step: 0, value: graph },
    ];
    const written = events.map(({ step, value }, i) =>
      frameRecord(encodeSummary(wallTimes[i]!, step, value)),
    );
    expect(wallTimes).toHaveLength(events.length);
    expect(Buffer.concat(written).equals(bytes)).toBe(true);
  });

  it('has checksums of CRC-32C', () => {
    // The check value of CRC-32C is that of "123456789": 0xe3069283, here rotated and with the constant added.
    expect(maskedCrc32c(Buffer.from('123456789'))).toBe(
      (((0xe3069283 >>> 15) | (0xe3069283 << 17)) + 0xa282ead8) >>> 0,
    );
  });

  it('begins with its version, and ends with a whole record when the disk failed', async () => {
    const file = new EventFile(join(dir, 'train'), 0, () => 12.5);
    const value = {
      tag: 'a',
      plugin: 'scalars',
      tensor: { dtype: 'float32', shape: [], values: [1] },
    } as const;
    await writeFile(join(dir, 'train'), 'a file in place of the folder');
    file.add(1, [value]);
    await expect(file.flush()).rejects.toThrow(/could not be written: /);
    await rm(join(dir, 'train'));
    file.add(2, [value]);
    await file.flush();
    const records = readRecords(await readFile(file.path));
    expect(Buffer.from(records[0]!).toString('latin1')).toContain('brain.Event:2');
    expect(records.flatMap(readValues).map(({ step }) => step)).toEqual([2]);
  });
});

describe('the TensorBoard callback', () => {
  it('writes metrics of epochs by the names of Keras, counted from 0', async () => {
    await playHistory([tensorBoard({ dir })], history);
    const scalars = (await readEventFolder(join(dir, 'train'))).filter(({ plugin }) => plugin === 'scalars');
    expect(scalars.map(({ step, tag, values }) => [step, tag, values[0]])).toEqual([
      [0, 'epoch_learning_rate', Math.fround(0.1)],
      [0, 'epoch_loss', 0.5],
      [0, 'epoch_accuracy', 0.5],
      [1, 'epoch_learning_rate', Math.fround(0.1)],
      [1, 'epoch_loss', 0.25],
      [1, 'epoch_accuracy', 0.75],
    ]);
    const test = await readEventFolder(join(dir, 'validation'));
    expect(test.map(({ step, tag, values }) => [step, tag, values[0]])).toEqual([
      [0, 'epoch_loss', 0.75],
      [0, 'epoch_accuracy', 0.25],
      [1, 'epoch_loss', 0.5],
      [1, 'epoch_accuracy', 0.5],
    ]);
  });

  it('writes metrics every few steps, and histograms every few epochs', async () => {
    const losses = [4, 3, 2, 1];
    await playHistory([tensorBoard({ dir, everySteps: 3, histograms: 2 })], { val_loss: losses });
    const values = await readEventFolder(join(dir, 'train'));
    const batches = values.filter(({ tag }) => tag === 'batch_loss');
    expect(batches.map(({ step, values: [value] }) => [step, value])).toEqual([
      [3, Math.fround(1 / 3)],
      [6, Math.fround(1 / 6)],
    ]);
    const histograms = values.filter(({ plugin }) => plugin === 'histograms');
    expect(histograms.map(({ step, tag, shape }) => [step, tag, shape])).toEqual(
      [0, 2].flatMap((step) => ['d/kernel/histogram', 'd/bias/histogram'].map((tag) => [step, tag, [30, 3]])),
    );
    // The four weights of the kernel are 3 after the third epoch, all in the last bucket.
    expect(histograms[2]!.values.slice(-3)).toEqual([3, 3, 4]);
  });

  it('writes the layers of the model and the hyperparameters of the run', async () => {
    await playHistory([tensorBoard({ dir })], history);
    const graph = (await readEventFolder(join(dir, 'train'))).find(({ tag }) => tag === 'keras')!;
    expect(graph).toMatchObject({ plugin: 'graph_keras_model', content: '1', step: 0 });
    const { class_name, config } = JSON.parse(graph.values as string) as {
      class_name: string;
      config: { layers: { config: { name: string } }[] };
    };
    expect([class_name, ...config.layers.map((layer) => layer.config.name)]).toEqual(['Sequential', 'd']);
    const session = await readEventFolder(dir);
    expect(session.map(({ tag, plugin }) => [tag, plugin])).toEqual([
      ['_hparams_/session_start_info', 'hparams'],
      ['_hparams_/session_end_info', 'hparams'],
    ]);
    expect(session[0]!.content).toMatch(/optimizer.*sgd/s);
    expect(session[0]!.content).toMatch(/learningRate/);
  });

  it('adds a file for a resumed run', async () => {
    await playHistory([tensorBoard({ dir })], history, { until: 1 });
    await playHistory([tensorBoard({ dir })], history, { from: 1 });
    const test = await readEventFolder(join(dir, 'validation'));
    expect(test.map(({ step }) => step).sort()).toEqual([0, 0, 1, 1]);
  });

  it('refuses a folder that it cannot write before the run, and warns once of a disk that fails later', async () => {
    await writeFile(join(dir, 'file'), '');
    await expect(playHistory([tensorBoard({ dir: join(dir, 'file') })], history)).rejects.toThrow(
      /The callback tensorBoard failed: .* a part of the path is a file/,
    );
    const removed = { onEpochBegin: () => replaceByFile(join(dir, 'logs')) };
    const { lines, epochs } = await playHistory([removed, tensorBoard({ dir: join(dir, 'logs') })], history);
    expect(epochs).toBe(2);
    expect(lines.filter((line) => line.includes('TensorBoard lacks some values'))).toHaveLength(1);
  });

  it('names a wrong option', () => {
    expect(() => tensorBoard({ everySteps: 0 })).toThrow('everySteps of tensorBoard must be a whole number');
    expect(() => tensorBoard({ histograms: 0.5 })).toThrow('histograms of tensorBoard must be');
  });
});

async function replaceByFile(path: string): Promise<void> {
  await rm(path, { recursive: true });
  await writeFile(path, '');
}

import { expect, test } from 'vitest';
import { writeSafetensors } from '../../../coordinator/export/safetensors.ts';
import { nameWeights } from '../../../coordinator/model-file/weights-file.ts';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
const { job, initialWeights, weightNames } = await prepareJob(digits, { batchSize: 8, epochs: 1, seed: 1 });
const weights = nameWeights(initialWeights, weightNames, job.layout);
const bytes = writeSafetensors({
  job,
  weights,
  gradcast: '0.2.0',
  epochs: 3,
  preprocessing: { kind: 'image' },
  classNames: ['zero', 'one'],
});

/** Header of a file and its data, as the format's description says. */
function parse(file: Buffer): {
  header: Record<string, Entry>;
  metadata: Record<string, string>;
  data: Buffer;
} {
  const length = Number(file.readBigUInt64LE());
  const header = JSON.parse(file.subarray(8, 8 + length).toString()) as Record<string, Entry>;
  const { __metadata__: metadata, ...entries } = header;
  return {
    header: entries,
    metadata: metadata as unknown as Record<string, string>,
    data: file.subarray(8 + length),
  };
}

test('all weights are in the file, one after the other and under their names', () => {
  const { header, data } = parse(bytes);
  expect(Object.keys(header)).toEqual([...weightNames]);
  let end = 0;
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
    expect(dtype).toBe('F32');
    expect(shape).toEqual(weights.get(name)?.shape);
    expect(offsets[0]).toBe(end);
    end = offsets[1];
    const values = Uint8Array.from(data.subarray(...offsets)).buffer;
    expect(Buffer.from(values).equals(Buffer.from(Float32Array.from(weights.get(name)!.values).buffer))).toBe(
      true,
    );
  }
  expect(end).toBe(data.length);
  expect((bytes.length - data.length) % 8).toBe(0);
});

test('the metadata have the model and how it is used', () => {
  const { metadata } = parse(bytes);
  expect(Object.values(metadata).every((text) => typeof text === 'string')).toBe(true);
  expect(metadata).toMatchObject({ format: 'keras', gradcast: '0.2.0', epochs: '3' });
  expect(metadata.layout).toContain('PyTorch has Linear [outputs, inputs]');
  expect(JSON.parse(metadata.model_config!)).toEqual(expandTopology(job.topology));
  expect(JSON.parse(metadata.inputs!)).toMatchObject([
    { name: 'image', shape: [28, 28, 1], values: 'pixels divided by 255, as float32' },
  ]);
  expect(JSON.parse(metadata.class_names!)).toEqual(['zero', 'one']);
  expect(JSON.parse(metadata.preprocessing!)).toEqual({ kind: 'image' });
});

test('a tensor may have the name of a prototype', () => {
  const values = Float32Array.of(1, 2);
  const odd = new Map([['__proto__', { shape: [2], values }]]);
  const length = Number(writeSafetensors({ job, weights: odd, gradcast: '0', epochs: 1 }).readBigUInt64LE());
  const text = writeSafetensors({ job, weights: odd, gradcast: '0', epochs: 1 })
    .subarray(8, 8 + length)
    .toString();
  expect(text).toContain('"__proto__":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}');
});

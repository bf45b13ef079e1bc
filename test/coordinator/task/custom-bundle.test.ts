import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCustomFile } from '../../../coordinator/task/custom-bundle.ts';
import { tryStep } from '../../../coordinator/model/trial-step.ts';
import { jobSchema } from '../../../shared/model/job.ts';
import { parseModel } from '../../../shared/model/saved-model.ts';
import * as v from 'valibot';
import {
  bundleOf,
  exampleFile,
  exampleJob,
  exampleTopology,
  sha256,
  threeInputs,
} from '../../support/custom-code.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

let scratch = '';
beforeAll(async () => (scratch = await mkdtemp(join(tmpdir(), 'gradcast-custom-'))));
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function read(text: string | Uint8Array, name = 'own.js') {
  const file = join(scratch, name);
  await writeFile(file, text);
  return readCustomFile(file);
}

const empty = 'export default () => ({});';

describe('a file of custom code', () => {
  it('is a bundle with the names of what it has, by its hash', async () => {
    const text = 'export default (tf) => ({ losses: { a: () => 1 }, metrics: { b: () => 1, c: () => 1 } });';
    const { code, bytes } = await read(text);
    expect(code).toEqual({ hash: sha256(Buffer.from(text)), layers: [], losses: ['a'], metrics: ['b', 'c'] });
    expect(Buffer.from(bytes).toString()).toBe(text);
  });

  it('may be TypeScript: workers get it without its types', async () => {
    const { bytes, code } = await read(
      'const a = (x: number): number => x;\nexport default (tf: unknown) => ({ losses: { own: a } });',
      'own.ts',
    );
    expect(Buffer.from(bytes).toString()).not.toMatch(/: (number|unknown)/);
    expect(code.losses).toEqual(['own']);
  });

  it.each([
    ['import x from "./x.js";\n' + empty, 1],
    ['// a comment\n\nimport "node:fs";\n' + empty, 3],
    ['const load = () => import("./x.js");\n' + empty, 1],
    ['/* import */ export { x } from "./x.js";\n' + empty, 1],
    ['export * from "./x.js";\n' + empty, 1],
  ])('is refused with imports, and how to bundle it is said: %j', async (text, line) => {
    await expect(read(text)).rejects.toThrow(
      new RegExp(
        `own\\.js:${line}: custom code travels as one module without imports.* npx esbuild .*own\\.js --bundle --format=esm`,
      ),
    );
  });

  it.each([
    '// import x from "./x.js";\n',
    '/* import x from "./x.js"; */',
    'const text = "import x from y";',
    'const text = `\nimport x\nexport * from `;',
    'const url = import.meta.url;',
    'const made = { import: 1, important: 2 };',
    'export const own = 1;',
  ])('may have the word in other places: %j', async (text) => {
    expect((await read(`${text}\n${empty}`)).code.losses).toEqual([]);
  });

  it('is refused with a sentence that begins with the file', async () => {
    await expect(read('export default () => ({ losses: ', 'a.js')).rejects.toThrow(/a\.js:1:\d+: /);
    await expect(read('throw new Error("not today");\n' + empty)).rejects.toThrow(
      /own\.js: Custom code cannot be loaded: not today/,
    );
    await expect(read('export default () => { throw new Error("nor here"); };')).rejects.toThrow(
      /own\.js: Custom code cannot be used: nor here/,
    );
    await expect(read('export const loss = 1;')).rejects.toThrow(/no default export that is a function/);
    await expect(read(empty, 'own.json')).rejects.toThrow(/has to end in \.js, \.mjs, \.ts or \.mts/);
    await expect(read(new Uint8Array(2 ** 20 + 1).fill(32))).rejects.toThrow(
      /own\.js cannot be read: .*1048577 bytes; at most 1048576/,
    );
    await expect(readCustomFile(join(scratch, 'none.js'))).rejects.toThrow(/none\.js cannot be read/);
  });
});

describe('a job with custom code', () => {
  it('names it, and has no code', async () => {
    const { job, custom } = await exampleJob();
    expect(job.customCode).toEqual(custom.code);
    expect(job.outputs[0]).toMatchObject({
      loss: { name: 'custom', function: 'asymmetricError', label: 'asymmetricError' },
      metrics: [{ name: 'custom', function: 'withinHalf', label: 'withinHalf' }, { label: 'mae' }],
    });
    expect(JSON.stringify(job)).not.toContain('tf.');
    // As a checkpoint and a saved model have it, and as a resumed run reads it.
    expect(v.parse(jobSchema, JSON.parse(JSON.stringify(job))).customCode).toEqual(custom.code);
    const again = await exampleJob({
      loss: job.outputs.map(({ loss }) => loss),
      metrics: job.outputs[0]!.metrics,
    });
    expect(again.job.outputs).toEqual(job.outputs);
  });

  it('is refused if a loss, metric or layer is not in it', async () => {
    await expect(exampleJob({ loss: 'dice' })).rejects.toThrow(
      'There is no loss dice. Losses are asymmetricError, ',
    );
    await expect(exampleJob({ metrics: ['dice'] })).rejects.toThrow('There is no metric dice.');
    const without = await bundleOf('export default () => ({});');
    await expect(exampleJob({ custom: without, loss: 'mse', metrics: ['mae'] })).rejects.toThrow(
      'Layer residual (ScaledResidualDense) is of a class that gradcast does not train. Use another layer, or --custom with its code.',
    );
    const { job } = await exampleJob();
    const others = { ...job.customCode!, losses: [] };
    expect(v.safeParse(jobSchema, { ...job, customCode: others }).success).toBe(false);
    expect(v.safeParse(jobSchema, { ...job, customCode: undefined }).success).toBe(false);
    const odd = { ...job.customCode!, metrics: ['constructor()'] };
    expect(v.safeParse(jobSchema, { ...job, customCode: odd }).success).toBe(false);
  });

  it('fails in its first step with the name of what is wrong', async () => {
    const attempt = async (loss: string, layers = ''): Promise<void> => {
      const custom = await bundleOf(
        `export default (tf) => ({ layers: [${layers}], losses: { own: ${loss} } });`,
      );
      const topology =
        layers === ''
          ? (JSON.parse(
              JSON.stringify(exampleTopology).replace(/\{"class_name":"Scaled[^}]*\}\},/, ''),
            ) as never)
          : exampleTopology;
      const { job, initialWeights } = await exampleJob({ custom, topology, loss: 'own', metrics: ['mae'] });
      await tryStep(await wasmEngine(), { job, initialWeights, custom }, threeInputs);
    };
    await expect(attempt('(tf, y, p) => tf.squaredDifference(y, p)')).rejects.toThrow(
      'The loss own returns [1, 1] for 1 samples, not [1].',
    );
    await expect(attempt('(tf, y, p) => tf.mean(tf.log(tf.mul(-1, tf.square(p))), -1)')).rejects.toThrow(
      'The loss own is NaN for the first sample.',
    );
    await expect(attempt('(tf, y, p) => tf.mean(tf.cast(tf.greater(p, y), "float32"), -1)')).rejects.toThrow(
      /The loss own uses Greater, which has no gradient in TensorFlow\.js/,
    );
    const layer = `class ScaledResidualDense extends tf.layers.Layer {
      static className = 'ScaledResidualDense';
      build() { throw new Error('no such width'); }
    }`;
    await expect(attempt('(tf, y, p) => tf.mean(tf.abs(p), -1)', layer)).rejects.toThrow(
      'Layer residual (ScaledResidualDense) has failed: no such width',
    );
  });
});

it('a saved model that names odd functions is not read', async () => {
  const { job } = await exampleJob();
  const { topology, ...others } = job;
  const json = (customCode: unknown): unknown => ({
    modelTopology: topology,
    weightsManifest: [],
    userDefinedMetadata: {
      gradcast: '1',
      dataDescription: '',
      epochs: 1,
      val_loss: null,
      job: { ...others, customCode },
    },
  });
  expect(parseModel(json(job.customCode)).job.customCode).toEqual(job.customCode);
  expect(() => parseModel(json({ ...job.customCode, hash: '../../etc' }))).toThrow('64 hexadecimal digits');
});

it('docs/custom-code.md shows the file of the example', async () => {
  const [document, code] = await Promise.all(
    ['docs/custom-code.md', exampleFile].map((file) => readFile(file, 'utf8')),
  );
  expect(/```js\n([^]*?)```/.exec(document!)?.[1]).toBe(code);
});

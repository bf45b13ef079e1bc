import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { describeWebGpu } from '../support/webgpu.ts';
import { OPERATION_NAMES, type Compared } from './webgpu-right-scenarios.ts';

const PROGRAM = fileURLToPath(new URL('webgpu-right-process.js', import.meta.url));
/** Difference of a value, relative to the largest. */
const TOLERANCE = 1e-5;

/** Kilobytes that a process may have if the memory of its GPU is to be full soon. */
const LITTLE_MEMORY = 14_000_000;

describeWebGpu((env) => {
  /** Runs a scenario in a process of its own. @param kilobytes of address space that it has @default no limit */
  async function run(scenario: string, kilobytes: number | 'unlimited' = 'unlimited'): Promise<unknown> {
    const limited = ['-c', `ulimit -v ${kilobytes} && exec "$0" "$@"`, process.execPath];
    // WebAssembly's trap handler reserves more addresses than there are.
    const child = spawn('sh', [...limited, '--disable-wasm-trap-handler', PROGRAM, scenario], {
      env: { ...process.env, ...env },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const errors = child.stderr?.toArray() ?? Promise.resolve([]);
    const ended = once(child, 'exit').then(async ([code]) => {
      throw new Error(`The process ended with ${String(code)}: ${(await errors).join('')}`);
    });
    ended.catch(() => undefined);
    const [result] = (await Promise.race([once(child, 'message'), ended])) as unknown[];
    return result;
  }

  const operations = run('operations') as Promise<Compared[]>;
  operations.catch(() => undefined);

  test.for(OPERATION_NAMES)('computes as on the processor: %s', async (name) => {
    const { shapes, values } = (await operations).find((compared) => compared.name === name) as Compared;
    const [expected, actual] = values;
    const largest = Math.max(...expected.filter(Number.isFinite).map(Math.abs), 1e-30);
    expect(shapes[1]).toEqual(shapes[0]);
    expect(actual).toHaveLength(expected.length);
    const wrong = actual.filter((value, i) => {
      const right = expected[i] as number;
      if (!Number.isFinite(right)) return !Object.is(value, right);
      return !(Math.abs(value - right) <= TOLERANCE * largest);
    });
    expect(wrong).toEqual([]);
  });

  test('computes the same bits each time in an exact run', async () => {
    const found = (await run('exact')) as Record<
      string,
      { readonly results: number; readonly error: number }
    >;
    expect(Object.keys(found)).toHaveLength(3);
    for (const [name, { results, error }] of Object.entries(found)) {
      expect(results, name).toBe(1);
      expect(error, name).toBeLessThan(TOLERANCE);
    }
  });

  test('keeps NaN in layers with ReLU, so that a run that diverges is noticed', async () => {
    const outputs = [NaN, NaN, 1, 2];
    expect(await run('reluOfNaN')).toEqual([outputs, outputs]);
  });

  test.for([
    [
      'a shader that does not compile',
      'shader',
      /^lost: the GPU cannot compute an operation: Error while parsing/,
    ],
    [
      'a buffer that is larger than the GPU takes',
      'buffer',
      /^lost: the GPU cannot compute an operation: Buffer size/,
    ],
  ] as const)('fails a computation with %s before it answers', async ([, scenario, reason]) => {
    const lost = expect.stringMatching(reason) as string;
    expect(await run(scenario)).toEqual([
      ...[lost, 'gradient failed', lost, 'evaluation failed', lost, 'prediction failed'],
      'gradient answered',
    ]);
  });

  test('convolves more images than WebGPU allows workgroups', async () => {
    expect(await run('manyImages')).toEqual([
      [65_540, 1, 2, 4],
      [32_800, 8, 1, 4],
    ]);
  });

  test('refuses tensors that are larger than the GPU takes, and of too many axes, with their shapes', async () => {
    const advice = String.raw` at most\. Set a smaller --batch-size`;
    const expected = [
      String.raw`^A tensor of the shape \[300000, 1000\] needs 1,145 MB, and this GPU takes [\d,]+ MB${advice}`,
      String.raw`^An operation whose result has the shape \[1, 2200000, 1\] needs 68,750 workgroups along an axis, and WebGPU takes 65,535${advice}`,
      String.raw`^WebGPU takes no part with strides of a tensor of 5 axes; 4 are the most\. Use another engine\.$`,
    ];
    expect(await run('refused')).toEqual(expected.map((pattern) => expect.stringMatching(pattern) as string));
  });

  test.for([
    ['uploads', 'fullByUploads'],
    ['results', 'fullByResults'],
  ] as const)('fails a computation when %s have filled the memory of the GPU', async ([, scenario]) => {
    const lost = expect.stringMatching(
      /^lost: the GPU has no memory left \([\d,]+ MB are needed so far\)\. Set a/,
    ) as string;
    expect(await run(scenario, LITTLE_MEMORY)).toEqual([lost, 'failed']);
  });

  test('frees the buffers of sizes that are no longer used', async () => {
    const [one, all] = (await run('pool')) as [number, number];
    expect(one).toBeGreaterThan(1e6);
    expect(all).toBeLessThan(3.5 * one);
  });
});

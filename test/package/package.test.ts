import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { publint } from 'publint';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compilerFile } from '../../scripts/build-types.js';
import { entries, packAndInstall, readSource, runProgram, type PackedPackage } from './packed.ts';

const attw = fileURLToPath(
  new URL('../../node_modules/@arethetypeswrong/cli/dist/index.js', import.meta.url),
);

describe('the package', () => {
  let packed: PackedPackage;
  beforeAll(() => (packed = packAndInstall()));
  afterAll(() => packed.remove());

  test('publint finds nothing to improve', async () => {
    const { messages } = await publint({
      pkgDir: join(packed.folder, 'node_modules/gradcast'),
      pack: false,
      strict: true,
    });
    expect(messages).toEqual([]);
  });

  test('the types of every entry resolve in Node and in bundlers', () => {
    const output = runProgram(
      [process.execPath, attw, packed.tarball, '--profile', 'esm-only', '--format', 'json'],
      packed.folder,
    );
    const { analysis } = JSON.parse(output) as {
      analysis: { entrypoints: Record<string, { hasTypes: boolean }>; problems: unknown[] };
    };
    const names = Object.keys(analysis.entrypoints).filter((name) => name !== './package.json');
    expect(names.toSorted()).toEqual(['.', './browser', './protocol', './worker']);
  });

  test('it contains the program, the page and the entries, and no sources', () => {
    const { files } = packed;
    expect(files).toEqual(
      expect.arrayContaining([
        'bin/cli.cjs',
        'bin/gradcast.js',
        'dist/coordinator/model-file/hdf5-thread.js',
        'dist/coordinator/task/task-file-hooks.js',
        'templates/common/gitignore',
        'templates/images/task.ts',
        'dist/page/index.html',
        'dist/worker-node/thread/engine-thread.js',
        'dist/types/coordinator/index.d.ts',
      ]),
    );
    // Templates are programs of their own.
    const isSource = (path: string): boolean => /(?<!\.d)\.ts$/.test(path) && !path.startsWith('templates/');
    expect(files.filter(isSource)).toEqual([]);
  });

  test('Node imports every entry', () => {
    const names = Object.keys(entries);
    const output = packed.run(
      'import.js',
      names.map((name) => `console.log(Object.keys(await import('${name}')).sort().join(' '));`).join('\n'),
    );
    expect(output.trim().split('\n')).toEqual([
      'createJob csvLog defineTask earlyStopping evaluate learningRateSchedule lineReporter loadDataset loadModelFile modelCheckpoint reduceLROnPlateau saveKerasModel saveModel silentReporter startCoordinator tensorBoard train webhook',
      'runNodeWorker',
      'contribute',
      'CloseCode FATAL_CLOSE_CODES PROTOCOL_VERSION ProtocolError decodeFrame encodeFrame formatCoordinatorLink ' +
        'frameFromCoordinator frameFromWorker parseCoordinatorLink parseFromCoordinator parseFromWorker',
    ]);
  });

  test('a bundler builds the entries for browsers', async () => {
    const entry = join(packed.folder, 'page.js');
    writeFileSync(entry, "export * from 'gradcast/browser';\nexport * from 'gradcast/protocol';\n");
    const { errors, warnings, outputFiles } = await build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'browser',
      logLevel: 'silent',
    });
    expect([...errors, ...warnings]).toEqual([]);
    const [worker = ''] = /tab-worker-\w+\.js/.exec(outputFiles[0]!.text) ?? [];
    expect(packed.files).toContain(`dist/page/${worker}`);
  });

  test('a program in TypeScript compiles with the declarations alone', () => {
    writeFileSync(
      join(packed.folder, 'program.ts'),
      `import { createJob, loadDataset, startCoordinator, train, type Optimizer, type Reporter } from 'gradcast';
import { defineTask, earlyStopping, type Callback } from 'gradcast';
import { contribute, type ContributionStatus } from 'gradcast/browser';
import { parseFromCoordinator, PROTOCOL_VERSION } from 'gradcast/protocol';
import { runNodeWorker } from 'gradcast/worker';

const optimizer: Optimizer = { name: 'adadelta', learningRate: 0.5, rho: 0.95, epsilon: 1e-8 };
const dataset = await loadDataset({ syntheticDigits: 'always' });
const { job, initialWeights } = await createJob(dataset, { optimizer });
const coordinator = await startCoordinator({ job, codec: 'int8' });
const ended: Promise<string> = runNodeWorker({ link: coordinator.urls[0] ?? '' });
const { history } = await train(coordinator, { dataset, weights: initialWeights });
const accuracy: number | undefined = history.at(-1)?.val_accuracy;
const version: 2 = PROTOCOL_VERSION;
const { message } = parseFromCoordinator(new Uint8Array(4));
if (message.type === 'welcome') console.log(message.job.epochs, accuracy, version, await ended);
// @ts-expect-error There is no such codec.
await startCoordinator({ job, codec: 'int3' });
contribute({ link: '', onStatus: (status: ContributionStatus) => console.log(status.state) });
export const reporter: Partial<Reporter> = {};
const own: Callback = { onEpochEnd: ({ epoch, logs, stop }) => (logs.loss === epoch ? stop('enough') : undefined) };
export const task = defineTask({ data: 'digits/', epochs: 2, callbacks: [earlyStopping({ patience: 2 }), own] });
// @ts-expect-error There is no such setting.
defineTask({ epoch: 2 });
// @ts-expect-error There is no such option.
earlyStopping({ patients: 2 });
`,
    );
    const options = ['--noEmit', '--strict', '--target', 'es2023', '--module', 'nodenext', '--types', 'node'];
    runProgram([process.execPath, compilerFile(), ...options, 'program.ts'], packed.folder);
  });

  test('a program trains with a worker of its own, and saves a model that gradcast reads', () => {
    const output = packed.run(
      'train.js',
      `import {
  createJob,
  evaluate,
  loadDataset,
  loadModelFile,
  saveKerasModel,
  saveModel,
  startCoordinator,
  train,
} from 'gradcast';
import { runNodeWorker } from 'gradcast/worker';
const digits = await loadDataset({ syntheticDigits: 'always', limit: 96 });
const inputs = [digits.test.inputs[0].subarray(0, 64 * 784)];
const targets = [digits.test.targets[0].subarray(0, 64)];
const dataset = { ...digits, test: { inputs, targets, count: 64 } };
const { job, initialWeights, weightNames } = await createJob(dataset, { epochs: 2, batchSize: 32 });
const coordinator = await startCoordinator({ job, token: 's3cret' });
const events = [];
const worker = runNodeWorker({
  link: coordinator.urls[0],
  token: 's3cret',
  engine: 'wasm',
  onEvent: ({ type }) => events.push(type),
});
const { weights, steps, history } = await train(coordinator, { dataset, weights: initialWeights });
const scores = await evaluate(coordinator, { dataset, weights });
await coordinator.close();
await saveModel('model', { job, weights, weightNames, history });
await saveKerasModel('model.keras', { job, weights, weightNames });
const file = await loadModelFile('model.keras');
const again = await createJob(dataset, file);
const isSame = again.initialWeights.every((value, i) => value === weights[i]);
console.log(JSON.stringify({ isSame, steps, scores, last: history.at(-1), events, reason: await worker }));
`,
    );
    const result = JSON.parse(output) as {
      isSame: boolean;
      steps: number;
      scores: { loss: number; accuracy: number };
      last: { val_loss: number; epoch: number };
      events: string[];
      reason: string;
    };
    expect(result.isSame).toBe(true);
    expect(result.steps).toBe(6);
    expect(result.last.epoch).toBe(2);
    expect(result.scores.loss).toBeCloseTo(result.last.val_loss, 4);
    expect(new Set(result.events)).toEqual(new Set(['engine', 'joined', 'computed']));
    expect(result.reason).toContain('finished');
    const model = JSON.parse(readFileSync(join(packed.folder, 'model/model.json'), 'utf8')) as {
      userDefinedMetadata: { epochs: number };
    };
    expect(model.userDefinedMetadata.epochs).toBe(2);
  });
});

test.each(Object.values(entries))('every export of %s is documented with an example', (path) => {
  const source = readSource(path);
  expect(source).toMatch(/^\/\*\*[\s\S]*?@example[\s\S]*?@packageDocumentation\s*\*\//);
  const exported = [...source.matchAll(/^export (?:async )?(?:function|const|interface|type) (\w+)/gm)];
  const undocumented = exported.filter(({ index }) => {
    const before = source.slice(0, index).trimEnd();
    const comment = before.slice(before.lastIndexOf('/**'));
    return !before.endsWith('*/') || !comment.includes('@example');
  });
  expect(undocumented.map(([, name]) => name)).toEqual([]);
});

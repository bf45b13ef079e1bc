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
  beforeAll(async () => void (packed = await packAndInstall()), 180_000);
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

  test('its types need no other package, and are few enough to be checked in a moment', () => {
    const names = new Set<string>();
    let bytes = 0;
    for (const path of packed.files.filter((file) => file.endsWith('.d.ts'))) {
      const text = readFileSync(join(packed.folder, 'node_modules/gradcast', path), 'utf8');
      bytes += text.length;
      // Imports at the beginning of a line: examples in comments are others.
      for (const [, name = ''] of text.matchAll(/^(?:import|export)[^'"\n]*from ?["']([^.'"][^'"]*)["']/gm)) {
        names.add(name.replace(/:.*/, ':'));
      }
      expect(text).not.toMatch(/import\(["'][^.]/);
    }
    expect([...names]).toEqual(['node:']);
    expect(bytes).toBeGreaterThan(100_000);
    // Types that schemas imply were 3 MB, and 10 s of a user's compiler.
    expect(bytes).toBeLessThan(250_000);
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
      'DataError RunFinishedError TrainingDiverged createCoordinator csvLog defineTask earlyStopping learningRateSchedule ' +
        'lineReporter loadDataset loadModel modelCheckpoint reduceLROnPlateau tensorBoard train webhook',
      'runWorker',
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
      `import { createCoordinator, defineTask, loadDataset, train, type Engine, type Optimizer, type Reporter } from 'gradcast';
import { earlyStopping, type Callback } from 'gradcast';
import { contribute, type ContributionStatus } from 'gradcast/browser';
import { parseFromCoordinator, PROTOCOL_VERSION } from 'gradcast/protocol';
import { runWorker } from 'gradcast/worker';
import { createServer } from 'node:http';

const optimizer: Optimizer = { name: 'adadelta', learningRate: 0.5, rho: 0.95, epsilon: 1e-8 };
const dataset = await loadDataset({ syntheticDigits: 'always' });
const task = defineTask({ data: dataset, optimizer, model: (tf, { inputs }) => tf.sequential({ layers: [] }) });
const coordinator = createCoordinator({ path: '/train' });
const server = createServer((request, response) => void coordinator.handleRequest(request, response));
server.on('upgrade', coordinator.handleUpgrade);
declare const engine: Engine;
const ended: Promise<string> = runWorker({ link: coordinator.urls[0] ?? '', engine });
const run = train(task, { coordinator, codec: 'int8' });
for await (const event of run) {
  if (event.type === 'epoch') console.log(event.epoch, event.val_accuracy);
  else console.log(event.step / event.steps, event.loss, event.metrics.accuracy);
}
const model = await run;
const accuracy: number | undefined = model.history.at(-1)?.val_accuracy;
const flat: Float32Array = await model.predict(new Uint8Array(784));
const nested: unknown[] = await model.predict([[0, 1]]);
const version: 2 = PROTOCOL_VERSION;
const { message } = parseFromCoordinator(new Uint8Array(4));
if (message.type === 'welcome') console.log(message.job.epochs, accuracy, version, flat, nested, await ended);
const houses = await train({
  data: { source: 'houses.csv', target: 'price' },
  model: (tf, { inputs, targets: [price] }) =>
    tf.sequential({
      layers: [
        tf.layers.dense({ inputShape: inputs[0].shape, units: 1 }),
        tf.layers.rescaling({ scale: price.std, offset: price.mean }),
      ],
    }),
});
for await (const event of train({ data: 'houses.csv' })) {
  const values: (number | undefined)[] = [event.metrics.mae, event.type === 'epoch' ? event.val_mae : event.loss];
  console.log(values.map((value) => value?.toFixed(0)));
}
const [house] = await houses.predictRows<{ price: number }>([{ area: 120 }], { onWarning: undefined });
console.log(house?.price.toFixed(0), houses.scores?.val_mae?.toFixed(0), houses.history[0]?.val_mae?.toFixed(0));
void runWorker({ link: 'lab:2718', token: process.env.TOKEN, name: undefined, engine: undefined, onProblem: undefined });
contribute('', { token: undefined, name: undefined, share: undefined, onStatus: undefined });
// @ts-expect-error There is no such codec.
train(task, { codec: 'int3' });
// @ts-expect-error There is no such setting.
defineTask({ learningRate: 1 });
contribute('', { onStatus: (status: ContributionStatus) => console.log(status.state) });
export const reporter: Partial<Reporter> = {};
const own: Callback = { onEpochEnd: ({ epoch, logs, stop }) => (logs.loss === epoch ? stop('enough') : undefined) };
export const watched = defineTask({ data: 'digits/', epochs: 2, callbacks: [earlyStopping({ patience: 2 }), own] });
// @ts-expect-error There is no such setting.
defineTask({ epoch: 2 });
// @ts-expect-error There is no such option.
earlyStopping({ patients: 2 });
`,
    );
    const options = [
      ...['--noEmit', '--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes'],
      '--target',
      'es2023',
      '--types',
      'node',
    ];
    for (const module of [['nodenext'], ['esnext', '--moduleResolution', 'bundler']])
      runProgram(
        [process.execPath, compilerFile(), ...options, '--module', ...module, 'program.ts'],
        packed.folder,
      );
  }, 180_000);

  test('a program trains on processes and on a worker of its own, saves the model and loads it again', () => {
    const output = packed.run(
      'train.js',
      `import { createCoordinator, loadDataset, loadModel, train } from 'gradcast';
import { runWorker } from 'gradcast/worker';
const digits = await loadDataset({ syntheticDigits: 'always', limit: 96 });
const inputs = [digits.test.inputs[0].subarray(0, 64 * 784)];
const targets = [digits.test.targets[0].subarray(0, 64)];
const data = { ...digits, test: { inputs, targets, count: 64 } };
const coordinator = createCoordinator({ token: 's3cret', maxRuns: 1 });
const port = await coordinator.listen();
const events = [];
const worker = runWorker({
  link: 'http://127.0.0.1:' + port + '/#s3cret',
  engine: 'wasm',
  onEvent: ({ type }) => events.push(type),
});
const task = { data, epochs: 2, batchSize: 32 };
const run = train(task, { coordinator, workers: 1, engine: 'wasm' });
const accuracies = [];
for await (const event of run) if (event.type === 'epoch') accuracies.push(event.val_accuracy);
const model = await run;
const scores = await model.evaluate();
const reason = await worker;
await coordinator.close();
await model.save('model');
await model.export('model.keras');
const [loaded] = await (await loadModel('model')).predict({ image: { values: inputs[0].slice(0, 784), shape: [1, 28, 28, 1] } });
const [own] = await model.predict(inputs[0].slice(0, 784));
const { steps, history } = model;
console.log(JSON.stringify({ isSame: loaded === own, steps, scores, last: history.at(-1), accuracies, events, reason }));
`,
    );
    const result = JSON.parse(output) as {
      isSame: boolean;
      steps: number;
      scores: { loss: number; accuracy: number };
      last: { val_loss: number; val_accuracy: number; epoch: number; workers: number };
      accuracies: number[];
      events: string[];
      reason: string;
    };
    expect(result.isSame).toBe(true);
    expect(result.steps).toBe(6);
    expect(result.last).toMatchObject({ epoch: 2, workers: 2 });
    expect(result.accuracies.at(-1)).toBe(result.last.val_accuracy);
    expect(result.scores.loss).toBeCloseTo(result.last.val_loss, 4);
    expect(new Set(result.events.filter((type) => type !== 'waiting'))).toEqual(
      new Set(['engine', 'joined', 'computed']),
    );
    expect(result.reason).toContain('finished');
    const model = JSON.parse(readFileSync(join(packed.folder, 'model/model.json'), 'utf8')) as {
      userDefinedMetadata: { epochs: number };
    };
    expect(model.userDefinedMetadata.epochs).toBe(2);
  }, 120_000);
});

/** Files with what the library exports. */
const libraryFiles = [
  ...['train', 'run', 'events', 'trained-model', 'create-coordinator', 'load', 'reporters'].map(
    (name) => `coordinator/api/${name}.ts`,
  ),
  'coordinator/task/task.ts',
  'coordinator/task/tensorflow.ts',
];

test.each(Object.values(entries))('%s has a description with an example', (path) => {
  expect(readSource(path)).toMatch(/^\/\*\*[\s\S]*?@example[\s\S]*?@packageDocumentation\s*\*\//);
});

test.each([...Object.values(entries), ...libraryFiles])(
  'every public export of %s is documented with an example',
  (path) => {
    const source = readSource(path);
    const names = readSource(entries.gradcast!);
    const exported = [
      ...source.matchAll(/^export (?:async )?(?:function|const|interface|type) (\w+)/gm),
    ].filter(([, name = '']) => !libraryFiles.includes(path) || new RegExp(`\\b${name}\\b`).test(names));
    const undocumented = exported.filter(({ index }) => {
      const before = source.slice(0, index).trimEnd();
      const comment = before.slice(before.lastIndexOf('/**'));
      return !before.endsWith('*/') || !comment.includes('@example');
    });
    expect(undocumented.map(([, name]) => name)).toEqual([]);
    if (libraryFiles.includes(path)) expect(exported.length).toBeGreaterThan(0);
  },
);

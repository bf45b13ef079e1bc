import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { spawnProgram } from '../../support/worker-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'gradcast-task-files-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const built = fileURLToPath(new URL('../../../dist/coordinator/task/task-file.js', import.meta.url));
const IMPORT = "import { defineTask, earlyStopping } from 'gradcast';\n";

/** Files, and the task or the beginning of the error that reading them gives. */
const FILES: readonly { name: string; text: string; task?: object; error?: string }[] = [
  {
    name: 'typed.ts',
    text: `${IMPORT}import { epochs } from './helper.ts';\ninterface Own { readonly size: number }\nconst own: Own = { size: 32 };\nexport default defineTask({ epochs, batchSize: own.size, data: 'photos', callbacks: [earlyStopping()] } as const);\n`,
    task: {
      epochs: 7,
      batchSize: 32,
      data: join(folder, 'photos'),
      callbacks: [{ name: 'earlyStopping', monitor: 'val_loss' }],
    },
  },
  {
    name: 'plain.mjs',
    text: `${IMPORT}export default defineTask({ data: 'fashion-mnist', model: 'sub/model.json' });\n`,
    task: { data: 'fashion-mnist', model: join(folder, 'sub/model.json') },
  },
  {
    name: 'later.js',
    text: `${IMPORT}export default await Promise.resolve(defineTask({ data: { source: './photos', limit: 5 } }));\n`,
    task: { data: { source: join(folder, 'photos'), limit: 5 } },
  },
  {
    name: 'data.json',
    text: JSON.stringify({
      epochs: 2,
      weights: '../w.h5',
      customObjects: 'custom.js',
      data: { source: 'x.csv' },
      callbacks: [
        { name: 'earlyStopping', patience: 3, restoreBestWeights: true },
        { name: 'csvLog', file: 'log.csv' },
        { name: 'tensorBoard', dir: 'logs', histograms: 1 },
        { name: 'modelCheckpoint', path: 'best.keras', saveBestOnly: true },
        { name: 'learningRateSchedule', schedule: { name: 'cosine' } },
        { name: 'webhook', url: 'https://example.com', events: ['end'] },
        { name: 'reduceLROnPlateau', patience: 2 },
      ],
    }),
    task: {
      epochs: 2,
      weights: resolve(folder, '../w.h5'),
      customObjects: join(folder, 'custom.js'),
      data: { source: join(folder, 'x.csv') },
      callbacks: [
        { name: 'earlyStopping', monitor: 'val_loss' },
        { name: 'csvLog' },
        { name: 'tensorBoard' },
        { name: 'modelCheckpoint', monitor: 'val_loss' },
        { name: 'learningRateSchedule', schedule: { name: 'cosine' } },
        { name: 'webhook' },
        { name: 'reduceLROnPlateau', schedule: { name: 'plateau', patience: 2 } },
      ],
    },
  },
  {
    name: 'setting.ts',
    text: `${IMPORT}\nexport default {\n  epochs: 3,\n  optimiser: 'adam',\n};\n`,
    error: "setting.ts:5: The task has no setting optimiser. Did you mean 'optimizer'? It has model,",
  },
  {
    name: 'value.mjs',
    text: 'export default {\n  "batchSize": 0,\n};\n',
    error: 'value.mjs:2: The task: batchSize is wrong: Expected >=1 but received 0.',
  },
  {
    name: 'syntax.ts',
    text: `${IMPORT}const x: = 3;\n`,
    error: 'syntax.ts:2:10: Unexpected token `=`.',
  },
  { name: 'enum.ts', text: 'enum A { b }\n', error: 'enum.ts:1:1: TypeScript enum is not supported' },
  {
    name: 'syntax.mjs',
    text: '\nexport default { epochs: ,};\n',
    error: 'syntax.mjs:2:26: Expression expected.',
  },
  {
    name: 'throws.ts',
    text: `const none: { a?: { b: number } } = {};\nexport default {\n  epochs: none.a!.b };\n`,
    error: "throws.ts:3:19: Cannot read properties of undefined (reading 'b')",
  },
  {
    name: 'throws-elsewhere.ts',
    text: "import './throwing.ts';\nexport default {};\n",
    error: 'throwing.ts:2:7: no such table',
  },
  {
    name: 'package.mjs',
    text: "\nimport 'no-such-package';\nexport default {};\n",
    error: "package.mjs:2:9: Cannot find package 'no-such-package'",
  },
  {
    name: 'export.ts',
    text: "\nimport { other } from './helper.ts';\nexport default { epochs: other };\n",
    error: "export.ts:2:24: The requested module './helper.ts' does not provide an export named 'other'",
  },
  {
    name: 'nothing.ts',
    text: 'export const task = {};\n',
    error: 'nothing.ts has no default export. End it with export default defineTask({ ... }).',
  },
  { name: 'three.mjs', text: 'export default 3;\n', error: 'three.mjs: The task is no object with settings' },
  { name: 'list.json', text: '[]', error: 'list.json: The task is no object with settings' },
  {
    name: 'comma.json',
    text: '{ "epochs": 3,\n  "batchSize": 3,,\n}',
    error: 'comma.json:2:18 is not valid JSON: ',
  },
  {
    name: 'option.json',
    text: '{ "epochs": 3,\n  "callbacks": [{ "name": "earlyStopping", "patients": 3 }]\n}',
    error: "option.json:2: The callback earlyStopping has no option patients. Did you mean 'patience'?",
  },
  {
    name: 'kind.json',
    text: '{ "callbacks": [{ "name": "csvLog", "file": 3 }] }',
    error: 'kind.json:1: file of the callback csvLog is wrong: Expected string but received 3.',
  },
  {
    name: 'callback.json',
    text: '{\n "callbacks": [{ "name": "stop" }]\n}',
    error: 'callback.json:2: There is no callback stop. Use one of earlyStopping, modelCheckpoint,',
  },
  {
    name: 'misspelt.json',
    text: '{ "callbacks": [{ "name": "earlystoping" }] }',
    error:
      "misspelt.json:1: There is no callback earlystoping. Did you mean 'earlyStopping'? Use one of earlyStopping, modelCheckpoint,",
  },
  {
    name: 'task.py',
    text: '',
    error: 'task.py is no task file. Its name has to end in .ts, .js, .mjs or .json.',
  },
];

/** Results of reading the files, by name, in a process whose working directory is their folder. */
let results: Readonly<Record<string, { task?: object; error?: string }>> = {};
beforeAll(async () => {
  mkdirSync(join(folder, 'photos'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'helper.ts'), 'export const epochs: number = 7;\n');
  writeFileSync(join(folder, 'throwing.ts'), "type A = 1;\nthrow new Error('no such table');\n");
  for (const { name, text } of FILES) writeFileSync(join(folder, name), text);
  const names = [...FILES.map(({ name }) => name), 'missing.ts'];
  writeFileSync(
    join(folder, 'read.mjs'),
    `process.chdir(${JSON.stringify(folder)});
const { loadTaskFile } = await import(${JSON.stringify(built)});
const results = {};
for (const name of ${JSON.stringify(names)})
  results[name] = await loadTaskFile(name).then((task) => ({ task }), (error) => ({ error: error.message }));
console.log(JSON.stringify(results));
`,
  );
  const reading = spawnProgram([process.execPath, join(folder, 'read.mjs')], process.env);
  expect(await reading.ended, reading.output()).toBe(0);
  results = JSON.parse(reading.output().trim().split('\n').at(-1) ?? '') as typeof results;
});

describe('a task file', () => {
  it.each(FILES.filter(({ task }) => task !== undefined))('$name is a task', ({ name, task }) => {
    expect(results[name]!.error).toBeUndefined();
    expect(results[name]!.task).toEqual(task);
  });

  it.each(FILES.filter(({ error }) => error !== undefined))(
    '$name is refused with its place',
    ({ name, error }) => {
      expect(results[name]!.error?.slice(0, error!.length)).toBe(error);
    },
  );

  it('that is missing is named', () => {
    expect(results['missing.ts']!.error).toMatch(/^missing\.ts cannot be read: .* does not exist\.$/);
  });
});

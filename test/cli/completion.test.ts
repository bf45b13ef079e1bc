import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete } from '../../cli/completion.ts';
import { createContext } from '../../cli/context.ts';
import { createCli } from '../../cli/main.ts';
import {
  checkShell,
  createCompletionFolder,
  RUNS,
  type CompletionFolder,
} from '../support/shell-completion.ts';

const cli = createCli(
  createContext({
    version: '1.0.0',
    programFile: 'bin/gradcast.js',
    distDir: 'dist',
    prepare: () => Promise.reject(new Error('A completion must not install or build.')),
    signals: { owners: 0 },
  }),
);

let folder: CompletionFolder;
const before = process.cwd();
beforeAll(() => {
  folder = createCompletionFolder();
  process.chdir(folder.path);
});
afterAll(() => {
  process.chdir(before);
  folder.remove();
});

describe('the words that complete a command line', () => {
  it.each([
    [['tra'], ['train', ':4']],
    [
      ['engine', 'i'],
      ['install', ':4'],
    ],
    [
      ['help', 'tr'],
      ['train', ':4'],
    ],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish', 'powershell', ':4'],
    ],
    [
      ['train', '--epo'],
      ['--epochs', ':4'],
    ],
    // An option that is there already, but one that takes several values.
    [['train', '--epochs', '3', '--epo'], [':4']],
    [
      ['train', '--export', 'onnx', '--expor'],
      ['--export', ':4'],
    ],
    [
      ['train', '--engine', 'w'],
      ['wasm', 'webgpu', ':4'],
    ],
    [
      ['train', '--engine=w'],
      ['--engine=wasm', '--engine=webgpu', ':4'],
    ],
    // As bash has the words of --engine=w and of --engine=.
    [
      ['train', '--engine', '=', 'we'],
      ['webgpu', ':4'],
    ],
    [
      ['train', '--engine', '='],
      ['auto', 'native', 'wasm', 'webgpu', ':4'],
    ],
    [
      ['train', '--log', 'j'],
      ['json', ':4'],
    ],
    [
      ['train', '--codec', 'int4'],
      ['int4', 'int4/int4', ':4'],
    ],
    [
      ['train', '--optimizer', 'adad'],
      ['adadelta', ':4'],
    ],
    [['train', '--epochs', ''], [':4']],
    [
      ['train', '--data', 'fash'],
      ['fashion-mnist', ':0'],
    ],
    [
      ['data', 'inspect', 'cifar-100'],
      ['cifar-100', ':0'],
    ],
    [
      ['train', '--loss', 'hub'],
      ['huber', ':4'],
    ],
    [
      ['train', '--metrics', 'accuracy,auc'],
      ['accuracy,auc', ':4'],
    ],
    [
      ['train', '--export', 'onnx', 'ker'],
      ['keras', ':4'],
    ],
    [
      ['train', '--export', 'onnx,ker'],
      ['onnx,keras', ':4'],
    ],
    [['train', '--tokenizer', ''], [':0']],
    [['train', '--out', ''], [':16']],
    [['train', 'ta'], [':0']],
    [['train', '--exact', ''], [':0']],
    [['train', 'task.ts', ''], [':4']],
    [
      ['export', 'runs/a', '--format', 'o'],
      ['onnx', ':4'],
    ],
    [
      ['init', '--template', 'ta'],
      ['table', ':4'],
    ],
    [
      ['train', '--resume', 'runs/'],
      [...RUNS, ':4'],
    ],
    [
      ['evaluate', ''],
      [...RUNS, ':4'],
    ],
    [
      ['predict', 'runs/2026-02'],
      [RUNS[0], ':4'],
    ],
    [['predict', RUNS[0], ''], [':0']],
    [['predict', RUNS[0], 'a.png', 'b.png', ''], [':0']],
    [
      ['compare', 'x', 'runs/2026-01'],
      [RUNS[1], ':4'],
    ],
    [['compare', 'x', 'y', ''], [':4']],
    // Other folders, where none of the runs is meant.
    [['evaluate', 'ph'], [':16']],
    [['worker', ''], [':4']],
    [['train', '--nonsense=', ''], [':0']],
    [['nonsense', 'x', '--nonsense', ''], [':4']],
  ])('%j: %j', async (args, expected) => {
    const words = (await complete(cli, args)).map((line) => line.replace(/\t.*/, ''));
    expect(words).toEqual(expected);
  });

  it('have descriptions, in a line each', async () => {
    const [line, ...others] = await complete(cli, ['init']);
    expect(line).toBe('init\tmake a folder with a task to train');
    expect(others).toEqual([':4']);
    for (const each of await complete(cli, ['train', '--']))
      expect(each).toMatch(/^(--[\w-]+\t[^\n\t]+|:4)$/);
  });

  it('are all commands that help lists, and no secret ones', async () => {
    const words = (await complete(cli, [''])).map((line) => line.replace(/\t.*/, ''));
    expect(words).toEqual(expect.arrayContaining(['train', 'worker', 'completion', 'help']));
    expect(words).not.toContain('complete');
  });
});

describe('bash', () => {
  it('completes commands, options, values, runs and files', { timeout: 60_000 }, () => {
    checkShell('bash', folder);
  });
});

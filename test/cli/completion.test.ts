import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete } from '../../cli/completion.ts';
import { SCRIPTS } from '../../cli/completion-scripts.ts';
import { createContext } from '../../cli/context.ts';
import { createCli } from '../../cli/main.ts';

const RUNS = ['runs/2026-02-01-p7x2mc', 'runs/2026-01-31-k3v9qd'];
const cli = createCli(
  createContext({
    version: '1.0.0',
    programFile: 'bin/gradcast.js',
    distDir: 'dist',
    prepare: () => Promise.reject(new Error('A completion must not install or build.')),
    signals: { owners: 0 },
  }),
);

/** A folder with runs, a task and data, and `gradcast` in bin/. */
let folder: string;
const before = process.cwd();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gradcast-completion-'));
  for (const name of [...RUNS, 'photos', 'bin']) mkdirSync(join(folder, name), { recursive: true });
  for (const name of ['task.ts', 'fashion.csv']) writeFileSync(join(folder, name), '');
  const program = join(folder, 'bin/gradcast');
  // A process that gradcast has started builds nothing, as one of a package.
  writeFileSync(
    program,
    `#!/bin/sh\nGRADCAST_LEASH=test exec '${process.execPath}' '${resolve('bin/gradcast.js')}' "$@"\n`,
  );
  chmodSync(program, 0o755);
  for (const [shell, text] of Object.entries(SCRIPTS)) writeFileSync(join(folder, `script.${shell}`), text);
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true });
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
    [['predict', RUNS[0]!, ''], [':0']],
    [['predict', RUNS[0]!, 'a.png', 'b.png', ''], [':0']],
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

/** Words that a shell offers, by its script and by what stands for Tab in a program of it. */
const SHELLS: Readonly<Record<string, (words: readonly string[]) => readonly string[]>> = {
  bash: (words) => [
    'bash',
    ...['--norc', '-c'],
    'source ./script.bash; source ./script.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gradcast; printf "%s\\n" "${COMPREPLY[@]}"',
    ...['bash', ...words],
  ],
  // Outside its line editor, zsh has no builtins of completion.
  zsh: (words) => [
    'zsh',
    ...['-f', '-c'],
    'compdef() { : }; compset() { : }; _files() { print -l "files $*" }; _describe() { print -l -- ${(P)2} }; source ./script.zsh; words=("$@"); CURRENT=$#; _gradcast || true',
    ...['zsh', ...words],
  ],
  fish: (words) => ['fish', '--no-config', '-c', `source ./script.fish; complete -C '${words.join(' ')}'`],
};

describe.each(Object.entries(SHELLS))('%s', (shell, commandOf) => {
  const isHere = spawnSync(shell, ['-c', 'true']).status === 0;
  const offered = (...words: string[]): string[] => {
    const [program = '', ...args] = commandOf(['gradcast', ...words]);
    const { stdout, stderr, status } = spawnSync(program, args, {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, PATH: `${join(folder, 'bin')}${delimiter}${process.env.PATH}`, HOME: folder },
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    return stdout
      .split('\n')
      .map((line) => line.replace(/[\t:].*/, ''))
      .filter((line) => line !== '')
      .sort();
  };

  it.skipIf(!isHere)('completes commands, options, values and runs', { timeout: 60_000 }, () => {
    expect(offered('trai')).toEqual(['train']);
    expect(offered('train', '--epoc')).toEqual(['--epochs']);
    expect(offered('train', '--engine', 'w')).toEqual(['wasm', 'webgpu']);
    expect(offered('evaluate', 'runs/')).toEqual([...RUNS].sort());
  });

  it.skipIf(!isHere)('offers files beside the names of data sets', { timeout: 60_000 }, () => {
    const files = shell === 'zsh' ? 'files ' : 'fashion.csv';
    expect(offered('train', '--data', 'fas')).toEqual(['fashion-mnist', files]);
  });

  it.skipIf(!isHere)('completes a value behind =', { timeout: 60_000 }, () => {
    const words = shell === 'bash' ? ['--engine', '=', 'w'] : ['--engine=w'];
    const start = shell === 'bash' ? '' : '--engine=';
    expect(offered('train', ...words)).toEqual([`${start}wasm`, `${start}webgpu`]);
  });
});

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { expect } from 'vitest';
import { SCRIPTS } from '../../cli/completion-scripts.ts';

export const RUNS = ['runs/2026-02-01-p7x2mc', 'runs/2026-01-31-k3v9qd'] as const;

/** A folder with runs, a task, data, the scripts of completion, and `gradcast` in bin/. */
export interface CompletionFolder {
  readonly path: string;
  remove(): void;
}

export function createCompletionFolder(): CompletionFolder {
  const path = mkdtempSync(join(tmpdir(), 'gradcast-completion-'));
  for (const name of [...RUNS, 'photos', 'bin']) mkdirSync(join(path, name), { recursive: true });
  for (const name of ['task.ts', 'fashion.csv']) writeFileSync(join(path, name), '');
  const program = join(path, 'bin/gradcast');
  // A process that gradcast has started builds nothing, as one of a package.
  writeFileSync(
    program,
    `#!/bin/sh\nGRADCAST_LEASH=test exec '${process.execPath}' '${resolve('bin/gradcast.js')}' "$@"\n`,
  );
  chmodSync(program, 0o755);
  for (const [shell, text] of Object.entries(SCRIPTS)) writeFileSync(join(path, `script.${shell}`), text);
  return { path, remove: () => rmSync(path, { recursive: true }) };
}

/** Words that a shell offers, by its script and by what stands for Tab in a program of it. */
const SHELLS = {
  bash: (words: readonly string[]) => [
    'bash',
    ...['--norc', '-c'],
    'source ./script.bash; source ./script.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gradcast; printf "%s\\n" "${COMPREPLY[@]}"',
    ...['bash', ...words],
  ],
  // Outside its line editor, zsh has no builtins of completion.
  zsh: (words: readonly string[]) => [
    'zsh',
    ...['-f', '-c'],
    'compdef() { : }; compset() { : }; _files() { print -l "files $*" }; _describe() { print -l -- ${(P)2} }; source ./script.zsh; words=("$@"); CURRENT=$#; _gradcast || true',
    ...['zsh', ...words],
  ],
  fish: (words: readonly string[]) => [
    'fish',
    '--no-config',
    '-c',
    `source ./script.fish; complete -C '${words.join(' ')}'`,
  ],
};

/** Checks what a shell offers for commands, options, values, runs and files. */
export function checkShell(shell: keyof typeof SHELLS, folder: CompletionFolder): void {
  const offered = (...words: string[]): string[] => {
    const [program = '', ...args] = SHELLS[shell](['gradcast', ...words]);
    const { stdout, stderr, status } = spawnSync(program, args, {
      cwd: folder.path,
      encoding: 'utf8',
      env: {
        ...process.env,
        PATH: `${join(folder.path, 'bin')}${delimiter}${process.env.PATH ?? ''}`,
        HOME: folder.path,
      },
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    return stdout
      .split('\n')
      .map((line) => line.replace(/[\t:].*/, ''))
      .filter((line) => line !== '')
      .sort();
  };
  expect(offered('trai')).toEqual(['train']);
  expect(offered('train', '--epoc')).toEqual(['--epochs']);
  expect(offered('train', '--engine', 'w')).toEqual(['wasm', 'webgpu']);
  expect(offered('evaluate', 'runs/')).toEqual([...RUNS].sort());
  const files = shell === 'zsh' ? 'files ' : 'fashion.csv';
  expect(offered('train', '--data', 'fas')).toEqual(['fashion-mnist', files]);
  const words = shell === 'bash' ? ['--engine', '=', 'w'] : ['--engine=w'];
  const start = shell === 'bash' ? '' : '--engine=';
  expect(offered('train', ...words)).toEqual([`${start}wasm`, `${start}webgpu`]);
}

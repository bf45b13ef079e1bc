import { expect, it } from 'vitest';
import { printSummary, printResumeHint } from '../../../coordinator/report/summary.ts';
import type { TensorSpec } from '../../../shared/model/tensors.ts';
import type { Preprocessing } from '../../../shared/data/preprocessing.ts';
import { quoteForShell } from '../../../coordinator/report/quote-for-shell.ts';

const inputOf = (...shape: number[]): TensorSpec => ({ name: 'x', shape, dtype: 'uint8' });
const digits = { inputs: [inputOf(28, 28, 1)] };
const folder = { dir: "/runs/my run's", modelDir: '/runs/plain/model', dataset: digits };

function linesOf(print: (report: { info(line: string): void }) => void): string[] {
  const lines: string[] = [];
  print({ info: (line) => void lines.push(line) });
  return lines;
}

it('printed commands are quoted for a shell', () => {
  expect(quoteForShell('runs/2026-01-31-k3v9qd/model', 'linux')).toBe('runs/2026-01-31-k3v9qd/model');
  expect(quoteForShell("it's $HOME", 'linux')).toBe(`'it'\\''s $HOME'`);
  expect(quoteForShell('my runs', 'win32')).toBe('"my runs"');
  expect(quoteForShell('', 'linux')).toBe("''");
  const flags = { command: 'train', codec: 'auto', data: 'my digits' } as const;
  expect(
    linesOf((report) => printSummary(null, folder, flags, { commandLine: 'gradcast' }, report)),
  ).toContain('  gradcast evaluate /runs/plain/model');
  const program = { commandLine: 'gradcast', samplePicture: 'my seven.png' };
  expect(linesOf((report) => printSummary(null, folder, flags, program, report))).toContain(
    "  gradcast predict /runs/plain/model 'my seven.png'",
  );
});

it.each([
  ['pictures', { kind: 'image', size: [64, 64], channels: 3, fit: 'crop' }, 'YOUR-PICTURE.jpg'],
  [
    'a table',
    {
      kind: 'table',
      columns: [{ name: 'a', type: 'category', values: ['x'] }],
      targets: [{ name: 'b', type: 'category', values: ['y'] }],
    },
    'YOUR-TABLE.csv',
  ],
  [
    'text',
    { kind: 'text', tokenizer: { kind: 'characters', characters: ['a'] }, length: 8 },
    '--text "YOUR TEXT"',
  ],
  ['arrays', undefined, 'YOUR-SAMPLES.npy'],
] as const)('the command that predicts is one for %s', (_, preprocessing, input) => {
  const dataset = { inputs: [inputOf(4)], preprocessing: preprocessing as Preprocessing };
  const flags = { command: 'train', codec: 'auto' } as const;
  expect(
    linesOf((report) =>
      printSummary(null, { ...folder, dataset }, flags, { commandLine: 'gradcast' }, report),
    ).at(-1),
  ).toBe(`  gradcast predict /runs/plain/model ${input}`);
});

it('the command that evaluates a model repeats nothing that the run records', () => {
  const flags = { command: 'train', codec: 'auto', data: 'photos', validationSplit: 0.1 } as const;
  const code = { ...flags, customCode: 'ab12' };
  const program = { commandLine: 'gradcast' };
  expect(linesOf((report) => printSummary(null, folder, flags, program, report))).toContain(
    '  gradcast evaluate /runs/plain/model',
  );
  expect(linesOf((report) => printSummary(null, folder, code, program, report))).toContain(
    '  gradcast evaluate /runs/plain/model --trust ab12',
  );
});

it('the command that resumes a run holds back the same samples', () => {
  const flags = { command: 'train', codec: 'auto', data: 'my photos', validationSplit: 0.1 } as const;
  expect(
    linesOf((report) => printResumeHint({ dir: 'runs/1' }, flags, { commandLine: 'gradcast' }, report)),
  ).toContain("  gradcast train --resume runs/1 --data 'my photos' --validation-split 0.1");
});

it('the command that resumes a run has the options that a checkpoint does not store', () => {
  const flags = {
    command: 'coordinator',
    codec: 'int8',
    audit: 0.02,
    https: true,
    token: 's3cret',
    host: '127.0.0.1',
    port: 27180,
  } as const;
  expect(
    linesOf((report) => printResumeHint({ dir: 'runs/1' }, flags, { commandLine: 'gradcast' }, report)),
  ).toEqual([
    'Resume it, with the same --token:',
    '  gradcast coordinator --resume runs/1 --codec int8 --audit 0.02 --https --host 127.0.0.1 --port 27180',
  ]);
});

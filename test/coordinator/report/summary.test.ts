import { expect, it } from 'vitest';
import { printSummary, printResumeHint } from '../../../coordinator/report/summary.ts';
import { quoteForShell } from '../../../coordinator/report/quote-for-shell.ts';

const folder = { dir: "/runs/my run's", modelDir: '/runs/plain/model' };

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
  ).toContain("  gradcast evaluate /runs/plain/model --data 'my digits'");
  const program = { commandLine: 'gradcast', samplePicture: 'my seven.png' };
  expect(linesOf((report) => printSummary(null, folder, flags, program, report))).toContain(
    "  gradcast predict /runs/plain/model 'my seven.png'",
  );
});

it('the command that evaluates a model holds back the same samples', () => {
  const flags = { command: 'train', codec: 'auto', data: 'photos', validationSplit: 0.1 } as const;
  expect(
    linesOf((report) => printSummary(null, folder, flags, { commandLine: 'gradcast' }, report)),
  ).toContain('  gradcast evaluate /runs/plain/model --data photos --validation-split 0.1');
});

it('the command that resumes a run has the options that a checkpoint does not store', () => {
  const flags = { command: 'coordinator', codec: 'int8', audit: 0.02, https: true, token: 's3cret' } as const;
  expect(
    linesOf((report) => printResumeHint({ dir: 'runs/1' }, flags, { commandLine: 'gradcast' }, report)),
  ).toEqual([
    'Resume it, with the same --token:',
    '  gradcast coordinator --resume runs/1 --codec int8 --audit 0.02 --https',
  ]);
});

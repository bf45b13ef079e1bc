import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../../scripts/package-manager.js';
import { testPrograms } from '../../scripts/test-programs.js';
import { checkShell, createCompletionFolder, type CompletionFolder } from '../support/shell-completion.ts';

const missing = testPrograms.shells.programs.filter((name) => findProgram([name]) === null);

describe.skipIf(missing.length > 0)('completion', { tags: ['shells'] }, () => {
  let folder: CompletionFolder;
  beforeAll(() => void (folder = createCompletionFolder()));
  afterAll(() => folder.remove());

  test.each(['zsh', 'fish'] as const)('of commands, options, values, runs and files in %s', (shell) => {
    checkShell(shell, folder);
  });
});

// Without them, the tests above are skipped and counted.
if (missing.length > 0 && process.env.GRADCAST_REQUIRE_SHELLS === '1')
  test('zsh and fish are installed', () => {
    expect.fail(`these programs are missing: ${missing.join(', ')}. Run node scripts/get-programs.js shells`);
  });

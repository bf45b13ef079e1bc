import { describe, expect, test } from 'vitest';
import { findProgram } from '../../../scripts/package-manager.js';
import { testPrograms } from '../../../scripts/test-programs.js';

/**
 * Defines tests that build and run images. Where that is not possible they are skipped and counted; with
 * GRADCAST_REQUIRE_CONTAINERS=1 an added test fails.
 */
export function describeWithContainers(name: string, define: () => void): void {
  const problem = findProblem();
  describe.skipIf(problem !== null)(name, { tags: ['containers'] }, define);
  if (problem === null || process.env.GRADCAST_REQUIRE_CONTAINERS !== '1') return;
  test('images can be built', () => {
    expect.fail(problem);
  });
}

function findProblem(): string | null {
  if (process.platform !== 'linux') return 'images are built on Linux only';
  // The networks and limits of containers need it.
  if (process.getuid?.() !== 0) return 'images are built by root only';
  const missing = testPrograms.containers.programs.filter((each) => findProgram([each]) === null);
  if (missing.length === 0) return null;
  return `these programs are missing: ${missing.join(', ')}. Run node scripts/get-programs.js containers`;
}

// node scripts/test-counts.js FILE: prints the sum of the test counts of several runs.
import { appendFileSync, readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Adds the counts of one run to a file. */
export function appendCounts(file, { passed, failed, skipped }) {
  appendFileSync(file, `${JSON.stringify({ passed, failed, skipped })}\n`);
}

/** Sum of all counts in a file, or null if it has none. */
export function readCounts(file) {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  if (lines.length === 0) return null;
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const line of lines) {
    const counts = JSON.parse(line);
    for (const name of Object.keys(sum)) sum[name] += counts[name];
  }
  return sum;
}

/** Text such as "1400 passed, 0 failed, 3 skipped". */
export function countsText({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  console.log(countsText(readCounts(process.argv[2]) ?? { passed: 0, failed: 1, skipped: 0 }));
}

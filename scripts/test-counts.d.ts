export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Adds the counts of one run to a file. */
export function appendCounts(file: string, counts: TestCounts): void;
/** Sum of all counts in a file, or null if it has none. */
export function readCounts(file: string): TestCounts | null;
/** Text such as "1400 passed, 0 failed, 3 skipped". */
export function countsText(counts: TestCounts): string;

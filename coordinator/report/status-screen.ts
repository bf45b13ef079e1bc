import { isInteractive } from '../../shared/util/terminal.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { LiveLines, type TerminalStream } from './live-lines.ts';
import { truncate } from './text-style.ts';
import { everyTenSeconds } from './throttle.ts';

/** Output of a status that changes. */
export interface StatusScreen {
  /** Replaces the status. */
  show(lines: readonly string[]): void;
  /** Leaves the last status as it is. */
  close(): void;
}

/**
 * Shows a status in place of the one before on a terminal, as much of it as fits; elsewhere prints it every ten seconds, and the last
 * one.
 */
export function statusScreen(
  stream: TerminalStream & { readonly isTTY?: boolean },
  clock: Clock,
  env: NodeJS.ProcessEnv,
): StatusScreen {
  let shown: readonly string[] = [];
  const print = (): unknown => stream.write(shown.map((line) => `${line}\n`).join(''));
  if (isInteractive(stream, env)) {
    const live = new LiveLines(stream, clock);
    return {
      show(lines) {
        shown = lines;
        live.show(({ columns, rows }) => fit(lines, columns, rows));
      },
      close() {
        live.clear();
        print();
      },
    };
  }
  const throttle = everyTenSeconds(clock);
  let isPrinted = true;
  return {
    show(lines) {
      const isFirst = shown.length === 0;
      shown = [...lines, ''];
      isPrinted = isFirst || throttle.isDue();
      if (isPrinted) print();
    },
    close() {
      if (!isPrinted) print();
    },
  };
}

/** As many lines as a screen has rows, none longer than its columns. */
function fit(lines: readonly string[], columns: number, rows: number): string[] {
  const hidden = lines.length - rows;
  const fitting =
    hidden <= 0
      ? lines
      : [...lines.slice(0, Math.max(0, rows - 1)), `${hidden + 1} more lines; a larger window shows them.`];
  return fitting.map((line) => truncate(line, columns));
}

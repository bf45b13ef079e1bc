import headless from '@xterm/headless';
import type { TerminalStream } from '../../coordinator/report/live-lines.ts';

/** A terminal in memory that shows on its screen what a program writes. */
export interface TestTerminal extends TerminalStream {
  /** Changes the width: wraps lines again and notifies the program. */
  resize(columns: number): Promise<void>;
  /** Lines on the screen up to the last that is not empty. A wrapped line counts as one line. */
  screen(): Promise<string[]>;
  /** Number of listeners for changes of the size. */
  readonly listeners: number;
  /** Modes that differ from those of a new terminal. */
  readonly changedModes: Promise<readonly string[]>;
}

export function testTerminal(columns: number, rows = 24): TestTerminal {
  const terminal = new headless.Terminal({ cols: columns, rows, allowProposedApi: true, convertEol: true });
  const listeners = new Set<() => void>();
  let written = '';
  const settled = (): Promise<void> => new Promise((resolve) => terminal.write('', resolve));
  return {
    get columns() {
      return terminal.cols;
    },
    rows,
    write(text) {
      written += text;
      terminal.write(text);
    },
    on: (_, listener) => void listeners.add(listener),
    off: (_, listener) => void listeners.delete(listener),
    async resize(to) {
      await settled();
      terminal.resize(to, rows);
      for (const listener of listeners) listener();
    },
    async screen() {
      await settled();
      const { active } = terminal.buffer;
      const lines: string[] = [];
      for (let row = 0; row < active.length; row++) {
        const line = active.getLine(row);
        const text = line?.translateToString(true) ?? '';
        if (line?.isWrapped === true) lines.push(`${lines.pop() ?? ''}${text}`);
        else lines.push(text);
      }
      return lines.slice(0, lines.findLastIndex((line) => line !== '') + 1);
    },
    get listeners() {
      return listeners.size;
    },
    get changedModes() {
      return settled().then(() => {
        const { wraparoundMode } = terminal.modes;
        // oxlint-disable-next-line no-control-regex -- sequences that set a terminal's modes
        const set = written.match(/\u001b\[\?[\d;]+[hl]/g) ?? [];
        return wraparoundMode ? set : [...set, 'no wrapping'];
      });
    },
  };
}

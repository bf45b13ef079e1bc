import type { Clock } from '../../shared/util/clock.ts';
import { widthOf } from './text-style.ts';

/** Used part of a terminal's stream. */
export interface TerminalStream {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

/** Subscribes to the continuation of the process after Ctrl-Z. @returns function that unsubscribes */
export type OnContinued = (callback: () => void) => () => void;

/** Subscribes to SIGCONT, which a process gets when it continues after Ctrl-Z. */
export const onProcessContinued: OnContinued = (callback) => {
  process.on('SIGCONT', callback);
  return () => process.off('SIGCONT', callback);
};

/** Lines for a terminal. @param size of the largest lines that fit */
export type DrawLines = (size: { readonly columns: number; readonly rows: number }) => readonly string[];

const REDRAW_INTERVAL_MS = 100;
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

/**
 * Lines at the end of a terminal that are overwritten repeatedly, while other lines appear above them. It changes no mode of
 * the terminal (cursor, wrapping), so that nothing has to be restored, however the process ends or stops. The cursor waits
 * below the lines: some terminals do not wrap the line with the cursor again when they are made narrower, and the shell or an
 * echoed ^C starts on a line of its own.
 */
export class LiveLines {
  readonly #stream: TerminalStream;
  readonly #clock: Clock;
  readonly #onContinued: OnContinued;
  #draw: DrawLines | null = null;
  /** Widths of the lines on the screen. */
  #drawnWidths: readonly number[] = [];
  #drawnMs = -Infinity;
  #cancelRedraw: (() => void) | null = null;
  /** Ends the subscriptions of shown lines. */
  #unsubscribe: (() => void) | null = null;

  constructor(stream: TerminalStream, clock: Clock, onContinued: OnContinued = onProcessContinued) {
    this.#stream = stream;
    this.#clock = clock;
    this.#onContinued = onContinued;
  }

  /** Writes a permanent line. */
  log(line: string): void {
    this.#write(`${line}\n`);
  }

  /** Replaces the live lines, at most a few times a second. */
  show(draw: DrawLines): void {
    this.#draw = draw;
    this.#unsubscribe ??= this.#subscribe();
    if (this.#cancelRedraw !== null) return;
    const waitMs = this.#drawnMs + REDRAW_INTERVAL_MS - this.#clock.now();
    if (waitMs <= 0) this.#redraw();
    else this.#cancelRedraw = this.#clock.after(waitMs, () => this.#redraw());
  }

  /** Removes the live lines. */
  clear(): void {
    this.#cancelRedraw?.();
    this.#cancelRedraw = null;
    this.#draw = null;
    this.#drawnMs = -Infinity;
    if (this.#drawnWidths.length > 0) this.#write('');
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  #subscribe(): () => void {
    const onResize = (): void => this.#redraw();
    this.#stream.on('resize', onResize);
    const offContinued = this.#onContinued(() => {
      // The shell has written in between, and the cursor is at the start of a new line.
      this.#drawnWidths = [];
      this.#redraw();
    });
    return () => {
      this.#stream.off('resize', onResize);
      offContinued();
    };
  }

  #redraw(): void {
    this.#cancelRedraw?.();
    this.#cancelRedraw = null;
    if (this.#draw !== null) this.#write('');
  }

  /** Writes text in place of the live lines, and these below it. */
  #write(text: string): void {
    const lines = this.#draw?.({ columns: this.#columns - 1, rows: this.#rows - 1 }) ?? [];
    this.#stream.write(`${this.#eraseSequence()}${text}${lines.map((line) => `${line}\n`).join('')}`);
    this.#drawnWidths = lines.map(widthOf);
    if (lines.length > 0) this.#drawnMs = this.#clock.now();
  }

  /** Escape sequence that erases the drawn lines. In a terminal that was made narrower, a line takes several rows. */
  #eraseSequence(): string {
    const rows = this.#drawnWidths.reduce(
      (sum, width) => sum + Math.max(1, Math.ceil(width / this.#columns)),
      0,
    );
    return rows === 0 ? '' : `\r\x1b[${rows}A\x1b[J`;
  }

  get #columns(): number {
    return Math.max(1, this.#stream.columns ?? DEFAULT_COLUMNS);
  }

  get #rows(): number {
    return Math.max(2, this.#stream.rows ?? DEFAULT_ROWS);
  }
}

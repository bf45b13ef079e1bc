import type { Clock } from '../../shared/util/clock.ts';

/** Used part of a terminal's stream. */
export interface TerminalStream {
  readonly columns?: number;
  write(text: string): unknown;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

/** Subscribes to the continuation of the process after Ctrl-Z. @returns function that unsubscribes */
export type OnContinued = (callback: () => void) => () => void;

const REDRAW_INTERVAL_MS = 100;
const DEFAULT_COLUMNS = 80;

/**
 * One line at the end of a terminal that is overwritten repeatedly, while other lines appear above it. It changes no mode of
 * the terminal (cursor, wrapping), so that nothing has to be restored, however the process ends or stops. The cursor waits
 * below the line: some terminals do not wrap the line with the cursor again when they are made narrower, and the shell or an
 * echoed ^C starts on a line of its own.
 */
export class LiveLine {
  readonly #stream: TerminalStream;
  readonly #clock: Clock;
  readonly #onContinued: OnContinued;
  #lineFor: ((columns: number) => string) | null = null;
  /** Length of the line on the screen; null if there is none. */
  #drawnLength: number | null = null;
  #drawnMs = -Infinity;
  #cancelRedraw: (() => void) | null = null;
  /** Ends the subscriptions of a shown line. */
  #unsubscribe: (() => void) | null = null;

  constructor(stream: TerminalStream, clock: Clock, onContinued: OnContinued) {
    this.#stream = stream;
    this.#clock = clock;
    this.#onContinued = onContinued;
  }

  /** Writes a permanent line. */
  log(line: string): void {
    this.#stream.write(`${this.#eraseSequence()}${line}\n`);
    this.#drawnLength = null;
    if (this.#lineFor !== null) this.#draw();
  }

  /** Replaces the live line, at most a few times a second. */
  show(lineFor: (columns: number) => string): void {
    this.#lineFor = lineFor;
    this.#unsubscribe ??= this.#subscribe();
    if (this.#cancelRedraw !== null) return;
    const waitMs = this.#drawnMs + REDRAW_INTERVAL_MS - this.#clock.now();
    if (waitMs <= 0) this.#redraw();
    else this.#cancelRedraw = this.#clock.after(waitMs, () => this.#redraw());
  }

  /** Removes the live line. */
  clear(): void {
    this.#cancelRedraw?.();
    this.#cancelRedraw = null;
    this.#lineFor = null;
    this.#drawnMs = -Infinity;
    if (this.#drawnLength !== null) this.#stream.write(this.#eraseSequence());
    this.#drawnLength = null;
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  #subscribe(): () => void {
    const onResize = (): void => this.#redraw();
    this.#stream.on('resize', onResize);
    const offContinued = this.#onContinued(() => {
      // The shell has written in between, and the cursor is at the start of a new line.
      this.#drawnLength = null;
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
    if (this.#lineFor !== null) this.#draw();
  }

  #draw(): void {
    const line = this.#lineFor?.(this.#columns - 1) ?? '';
    this.#stream.write(`${this.#eraseSequence()}${line}\n`);
    this.#drawnLength = line.length;
    this.#drawnMs = this.#clock.now();
  }

  /** Escape sequence that erases the drawn line. In a terminal that was made narrower, the line takes several rows. */
  #eraseSequence(): string {
    if (this.#drawnLength === null) return '';
    const rows = Math.max(1, Math.ceil(this.#drawnLength / this.#columns));
    return `\r\x1b[${rows}A\x1b[J`;
  }

  get #columns(): number {
    return Math.max(1, this.#stream.columns ?? DEFAULT_COLUMNS);
  }
}

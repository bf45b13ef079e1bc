import type { Clock } from '../../shared/util/clock.ts';

/** The part of a terminal's stream that is used here. */
export interface TerminalStream {
  readonly columns?: number;
  write(text: string): unknown;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

/** Tells when the process goes on after Ctrl-Z; the answer ends that. */
export type OnContinued = (callback: () => void) => () => void;

const REDRAW_INTERVAL_MS = 100;
const DEFAULT_COLUMNS = 80;

/**
 * One line at the end of a terminal that is written over again and again, while other lines appear above it. It changes no
 * mode of the terminal (cursor, wrapping), so there is nothing to be put back, however the process ends or stops. The cursor
 * waits below the line: some terminals do not break the line with the cursor anew when they are made narrower, and a shell
 * or an echoed ^C starts on a line of its own.
 */
export class LiveLine {
  readonly #stream: TerminalStream;
  readonly #clock: Clock;
  readonly #onContinued: OnContinued;
  #lineFor: ((columns: number) => string) | null = null;
  /** Characters of the line that is on the screen; null if none is. */
  #drawnLength: number | null = null;
  #drawnMs = -Infinity;
  #cancelRedraw: (() => void) | null = null;
  /** Ends what is listened to while a line is shown. */
  #unsubscribe: (() => void) | null = null;

  constructor(stream: TerminalStream, clock: Clock, onContinued: OnContinued) {
    this.#stream = stream;
    this.#clock = clock;
    this.#onContinued = onContinued;
  }

  /** Writes a line that stays. */
  log(line: string): void {
    this.#stream.write(`${this.#eraseSequence()}${line}\n`);
    this.#drawnLength = null;
    if (this.#lineFor !== null) this.#draw();
  }

  /** Shows a line in place of the last one, a few times a second at most. */
  show(lineFor: (columns: number) => string): void {
    this.#lineFor = lineFor;
    this.#unsubscribe ??= this.#subscribe();
    if (this.#cancelRedraw !== null) return;
    const waitMs = this.#drawnMs + REDRAW_INTERVAL_MS - this.#clock.now();
    if (waitMs <= 0) this.#redraw();
    else this.#cancelRedraw = this.#clock.after(waitMs, () => this.#redraw());
  }

  /** Takes the line away. */
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
      // The shell has written since, and the cursor stands at the start of a line of its own.
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

  /** Escape sequence that erases the drawn line, over as many rows as it takes since the terminal was made narrower. */
  #eraseSequence(): string {
    if (this.#drawnLength === null) return '';
    const rows = Math.max(1, Math.ceil(this.#drawnLength / this.#columns));
    return `\r\x1b[${rows}A\x1b[J`;
  }

  get #columns(): number {
    return Math.max(1, this.#stream.columns ?? DEFAULT_COLUMNS);
  }
}

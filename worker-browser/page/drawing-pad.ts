import type { Job } from '../../shared/model/job.ts';
import { renderPicture, drawableSize, sampleDigit, type Trace, describePrediction } from './drawing.ts';
import { element, createElement, setText } from './dom.ts';
import { formatPercent } from './format.ts';

const DIGITS = 10;
/** Of the canvas' side. */
const LINE_WIDTH = 0.07;
/** Of the canvas' side: points that are nearer to the last one show nothing more, and would become too many. */
const MIN_STEP = 0.01;
/** More bars than this are no longer read. */
const MAX_BARS = 10;
/** As often as it is read, or a little more. */
const SEND_INTERVAL_MS = 60;
/** A screen reader is not told of every change of mind. */
const SPEAK_DELAY_MS = 1_500;

/** Where a person draws, and what the model takes it for. */
export class DrawingPad {
  readonly #section = element('drawing', HTMLElement);
  readonly #canvas = element('pad', HTMLCanvasElement);
  readonly #bars = element('bars', HTMLElement);
  readonly #guess = element('guess', HTMLElement);
  readonly #spoken = element('guess-spoken', HTMLElement);
  readonly #onPicture: (picture: Uint8Array | null) => void;
  #traces: number[][] = [];
  #drawing: { readonly pointer: number; readonly trace: number[] } | null = null;
  #size: { readonly height: number; readonly width: number } | null = null;
  #seed = 1;
  #speaking = false;
  #painting = false;
  #sending = false;
  #sentMs = 0;

  constructor(onPicture: (picture: Uint8Array | null) => void) {
    this.#onPicture = onPicture;
    const canvas = this.#canvas;
    canvas.addEventListener('pointerdown', (event) => this.#start(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    // Whatever ends a stroke ends the capture too.
    canvas.addEventListener('lostpointercapture', ({ pointerId }) => {
      if (this.#drawing?.pointer === pointerId) this.#drawing = null;
    });
    element('clear', HTMLElement).addEventListener('click', () => this.#set([]));
    new ResizeObserver(() => this.#paint()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#paint());
  }

  get isEmpty(): boolean {
    return this.#traces.length === 0;
  }

  /** Whether the job's samples can be drawn. */
  get isUsable(): boolean {
    return this.#size !== null;
  }

  /** Shows itself if the job's samples can be drawn. */
  use(job: Job): void {
    this.#size = drawableSize(job);
    this.#section.hidden = this.#size === null;
    const { classes } = job.data;
    if (this.#bars.childElementCount === Math.min(classes, MAX_BARS)) return;
    this.#bars.replaceChildren(
      ...Array.from({ length: Math.min(classes, MAX_BARS) }, (_, i) => createBar(i)),
    );
    const samples =
      classes === DIGITS ? Array.from({ length: DIGITS }, (_, digit) => this.#sampleButton(digit)) : [];
    element('sample-digits', HTMLElement).replaceChildren(...samples);
    setText(element('drawing-title', HTMLElement), classes === DIGITS ? 'Draw a digit' : 'Draw something');
  }

  /** @param probabilities by class */
  show(probabilities: readonly number[]): void {
    if (this.isEmpty) return;
    const best = probabilities.indexOf(Math.max(...probabilities));
    const order = probabilities.map((_, i) => i);
    const shown =
      probabilities.length <= MAX_BARS
        ? order
        : order.sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0)).slice(0, MAX_BARS);
    shown.forEach((label, i) => {
      const bar = this.#bars.children[i];
      if (bar instanceof HTMLElement) fillBar(bar, label, probabilities[label] ?? 0, label === best);
    });
    setText(this.#guess, describePrediction(probabilities));
    if (this.#speaking) return;
    this.#speaking = true;
    setTimeout(() => {
      this.#speaking = false;
      setText(this.#spoken, this.#guess.textContent);
    }, SPEAK_DELAY_MS);
  }

  /** Once more, for a Web Worker that has not seen it. */
  send(): void {
    const size = this.#size;
    this.#onPicture(size && renderPicture(this.#traces, size.height, size.width));
  }

  #sampleButton(digit: number): HTMLButtonElement {
    const button = createElement('button', 'digit', String(digit));
    button.type = 'button';
    button.setAttribute('aria-label', `Draw a ${digit}`);
    button.addEventListener('click', () => this.#set(sampleDigit(digit, this.#seed++)));
    return button;
  }

  #set(traces: readonly Trace[]): void {
    this.#traces = traces.map((trace) => [...trace]);
    this.#changed();
  }

  #start(event: PointerEvent): void {
    // A second finger, or the ball of the thumb, draws nothing.
    if (event.button !== 0 || this.#drawing !== null) return;
    this.#canvas.setPointerCapture(event.pointerId);
    const trace = [...this.#position(event)];
    this.#drawing = { pointer: event.pointerId, trace };
    this.#traces.push(trace);
    this.#changed();
  }

  #move(event: PointerEvent): void {
    if (this.#drawing?.pointer !== event.pointerId) return;
    const { trace } = this.#drawing;
    for (const each of coalescedEvents(event)) {
      const [x, y] = this.#position(each);
      const [lastX = x, lastY = y] = trace.slice(-2);
      if (Math.hypot(x - lastX, y - lastY) >= MIN_STEP) trace.push(x, y);
    }
    this.#changed();
  }

  #position({ clientX, clientY }: PointerEvent): readonly [number, number] {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  }

  /** Painted once a frame, however fast the pointer reports, and sent less often. */
  #changed(): void {
    if (this.#painting) return;
    this.#painting = true;
    requestAnimationFrame(() => {
      this.#painting = false;
      this.#paint();
      this.#sendSoon();
      if (!this.isEmpty) return;
      setText(this.#guess, '');
      setText(this.#spoken, '');
      [...this.#bars.children].forEach((bar, i) => {
        if (bar instanceof HTMLElement) fillBar(bar, i, null, false);
      });
    });
  }

  #sendSoon(): void {
    if (this.#sending) return;
    this.#sending = true;
    setTimeout(
      () => {
        this.#sending = false;
        this.#sentMs = performance.now();
        this.send();
      },
      Math.max(0, this.#sentMs + SEND_INTERVAL_MS - performance.now()),
    );
  }

  #paint(): void {
    const canvas = this.#canvas;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== side || canvas.height !== side) canvas.width = canvas.height = side;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (context === null) return;
    context.clearRect(0, 0, side, side);
    context.lineWidth = LINE_WIDTH * side;
    context.lineCap = context.lineJoin = 'round';
    context.strokeStyle = getComputedStyle(canvas).color;
    for (const trace of this.#traces) {
      context.beginPath();
      context.moveTo((trace[0] ?? 0) * side, (trace[1] ?? 0) * side);
      for (let i = 0; i + 1 < trace.length; i += 2) {
        context.lineTo((trace[i] as number) * side, (trace[i + 1] as number) * side);
      }
      context.stroke();
    }
  }
}

/** What browsers have in secure contexts only: not on a page that came over plain http from another machine. */
type MaybeCoalesced = Omit<PointerEvent, 'getCoalescedEvents'> &
  Partial<Pick<PointerEvent, 'getCoalescedEvents'>>;

/** The positions that a move stands for; the event itself where the browser does not list them. */
function coalescedEvents(event: PointerEvent): readonly PointerEvent[] {
  const events = (event as MaybeCoalesced).getCoalescedEvents?.() ?? [];
  return events.length > 0 ? events : [event];
}

/** A bar of a class, still empty. */
export function createBar(label: number): HTMLElement {
  const bar = createElement('li');
  bar.append(
    createElement('span', 'class', String(label)),
    createElement('span', 'bar'),
    createElement('span', 'percent'),
  );
  return bar;
}

/** @param probability 0 to 1; null for none */
export function fillBar(bar: HTMLElement, label: number, probability: number | null, best: boolean): void {
  const [name, , percent] = bar.children;
  if (name) setText(name, String(label));
  if (percent) setText(percent, probability === null ? '' : formatPercent(probability));
  bar.classList.toggle('best', best);
  bar.style.setProperty('--part', String(probability ?? 0));
}

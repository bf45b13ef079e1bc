import { classProbabilities } from '../../shared/model/class-probabilities.ts';
import type { Job } from '../../shared/model/job.ts';
import { renderPicture, drawableSize, sampleDigit, type Stroke, describePrediction } from './drawing.ts';
import { element, createElement, onStyleChange, setText } from './dom.ts';
import { formatPercent } from './format.ts';

const DIGITS = 10;
/** Fraction of the canvas' side. */
const LINE_WIDTH = 0.07;
/** Fraction of the canvas' side. Points closer to the last one are dropped: they add nothing visible. */
const MIN_POINT_DISTANCE = 0.01;
/** Bars of the most likely classes; a job may have many more classes. */
const MAX_BARS = 10;
/** A little shorter than the interval of predictions, so that each sees the newest drawing. */
const SEND_INTERVAL_MS = 60;
/** Shortest time between two announcements, or a screen reader would read every change of the prediction. */
const ANNOUNCE_INTERVAL_MS = 1_500;

/** The canvas for a drawing, and the model's prediction for it. */
export class DrawingPad {
  readonly #section = element('drawing', HTMLElement);
  readonly #canvas = element('pad', HTMLCanvasElement);
  readonly #bars = element('bars', HTMLElement);
  #job: Job | null = null;
  readonly #prediction = element('prediction', HTMLElement);
  readonly #announcement = element('prediction-announcement', HTMLElement);
  readonly #onPicture: (picture: Uint8Array | null) => void;
  #strokes: number[][] = [];
  #active: { readonly pointer: number; readonly stroke: number[] } | null = null;
  #size: { readonly height: number; readonly width: number } | null = null;
  #seed = 1;
  #announcing = false;
  #painting = false;
  #sending = false;
  #sentMs = 0;

  constructor(onPicture: (picture: Uint8Array | null) => void) {
    this.#onPicture = onPicture;
    const canvas = this.#canvas;
    canvas.addEventListener('pointerdown', (event) => this.#start(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    // Each way in which a stroke ends also ends the pointer capture.
    canvas.addEventListener('lostpointercapture', ({ pointerId }) => {
      if (this.#active?.pointer === pointerId) this.#active = null;
    });
    element('clear-drawing', HTMLElement).addEventListener('click', () => this.#set([]));
    new ResizeObserver(() => this.#paint()).observe(canvas);
    onStyleChange(() => this.#paint());
  }

  get isEmpty(): boolean {
    return this.#strokes.length === 0;
  }

  /** Whether the job's samples can be drawn. */
  get isUsable(): boolean {
    return this.#size !== null;
  }

  /** Adapts to a job: visible only if the job's samples can be drawn. */
  setJob(job: Job): void {
    this.#job = job;
    this.#size = drawableSize(job);
    this.#section.hidden = this.#size === null;
    const classes = job.targets[0]?.classes ?? 0;
    if (this.#bars.childElementCount === Math.min(classes, MAX_BARS)) return;
    this.#bars.replaceChildren(
      ...Array.from({ length: Math.min(classes, MAX_BARS) }, (_, i) => createBar(i)),
    );
    const sampleButtons =
      classes === DIGITS ? Array.from({ length: DIGITS }, (_, digit) => this.#sampleButton(digit)) : [];
    element('sample-digits', HTMLElement).replaceChildren(...sampleButtons);
    element('sample-label', HTMLElement).hidden = sampleButtons.length === 0;
    setText(element('drawing-title', HTMLElement), classes === DIGITS ? 'Draw a digit' : 'Draw something');
  }

  /** Shows a prediction, if it is one of classes. @param values of the model's first output */
  show(values: readonly number[]): void {
    const probabilities = this.#job === null ? null : classProbabilities(this.#job, values);
    if (this.isEmpty || probabilities === null) return;
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
    setText(this.#prediction, describePrediction(probabilities));
    if (this.#announcing) return;
    this.#announcing = true;
    setTimeout(() => {
      this.#announcing = false;
      setText(this.#announcement, this.#prediction.textContent);
    }, ANNOUNCE_INTERVAL_MS);
  }

  /** Sends the drawing, also to a Web Worker that does not have it yet. */
  send(): void {
    const size = this.#size;
    this.#onPicture(size && renderPicture(this.#strokes, size.height, size.width));
  }

  #sampleButton(digit: number): HTMLButtonElement {
    const button = createElement('button', 'digit', String(digit));
    button.type = 'button';
    button.setAttribute('aria-label', `Draw a ${digit}`);
    button.addEventListener('click', () => this.#set(sampleDigit(digit, this.#seed++)));
    return button;
  }

  #set(strokes: readonly Stroke[]): void {
    this.#strokes = strokes.map((stroke) => [...stroke]);
    this.#changed();
  }

  #start(event: PointerEvent): void {
    // Only one pointer draws: not a second finger or a resting hand.
    if (event.button !== 0 || this.#active !== null) return;
    this.#canvas.setPointerCapture(event.pointerId);
    const stroke = [...this.#position(event)];
    this.#active = { pointer: event.pointerId, stroke };
    this.#strokes.push(stroke);
    this.#changed();
  }

  #move(event: PointerEvent): void {
    if (this.#active?.pointer !== event.pointerId) return;
    const { stroke } = this.#active;
    for (const move of coalescedEvents(event)) {
      const [x, y] = this.#position(move);
      const [lastX = x, lastY = y] = stroke.slice(-2);
      if (Math.hypot(x - lastX, y - lastY) >= MIN_POINT_DISTANCE) stroke.push(x, y);
    }
    this.#changed();
  }

  #position({ clientX, clientY }: PointerEvent): readonly [number, number] {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  }

  /** Paints once a frame, however many events the pointer sends, and sends the drawing less often than that. */
  #changed(): void {
    if (this.#painting) return;
    this.#painting = true;
    requestAnimationFrame(() => {
      this.#painting = false;
      this.#paint();
      this.#sendSoon();
      if (!this.isEmpty) return;
      setText(this.#prediction, '');
      setText(this.#announcement, '');
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
    if (canvas.width !== side || canvas.height !== side) {
      canvas.width = side;
      canvas.height = side;
    }
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (context === null) return;
    context.clearRect(0, 0, side, side);
    context.lineWidth = LINE_WIDTH * side;
    context.lineCap = 'round';
    context.lineJoin = 'round';
    context.strokeStyle = getComputedStyle(canvas).color;
    for (const stroke of this.#strokes) {
      context.beginPath();
      context.moveTo((stroke[0] ?? 0) * side, (stroke[1] ?? 0) * side);
      for (let i = 0; i + 1 < stroke.length; i += 2) {
        context.lineTo((stroke[i] as number) * side, (stroke[i + 1] as number) * side);
      }
      context.stroke();
    }
  }
}

/** PointerEvent as insecure contexts have it, such as a page over plain http from another machine. */
type InsecurePointerEvent = Omit<PointerEvent, 'getCoalescedEvents'> &
  Partial<Pick<PointerEvent, 'getCoalescedEvents'>>;

/** The moves that the browser has merged into one event; the event itself where the browser does not list them. */
function coalescedEvents(event: PointerEvent): readonly PointerEvent[] {
  const events = (event as InsecurePointerEvent).getCoalescedEvents?.() ?? [];
  return events.length > 0 ? events : [event];
}

/** An empty bar of a class. */
function createBar(label: number): HTMLElement {
  const bar = createElement('li');
  bar.append(
    createElement('span', 'class', String(label)),
    createElement('span', 'bar'),
    createElement('span', 'percent'),
  );
  return bar;
}

/** @param probability 0 to 1; null for none */
function fillBar(bar: HTMLElement, label: number, probability: number | null, best: boolean): void {
  const [name, , percent] = bar.children;
  if (name) setText(name, String(label));
  if (percent) setText(percent, probability === null ? '' : formatPercent(probability));
  bar.classList.toggle('best', best);
  bar.style.setProperty('--fraction', String(probability ?? 0));
}

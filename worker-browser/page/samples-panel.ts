import { bindRadioGroup, createElement, element, setText } from './dom.ts';
import {
  createModelView,
  describeInputs,
  pictureSize,
  pixelsOf,
  worstFirst,
  type ModelView,
  type SampleView,
  type TestSamples,
} from './model-view.ts';

/** Samples that are shown; all of them count in the figures. */
const MAX_TILES = 40;
const SVG = 'http://www.w3.org/2000/svg';

/** Test samples with what the model makes of them, its confusion matrix or a plot of values, and its worst mistakes. */
export class SamplesPanel {
  readonly #section = element('samples', HTMLElement);
  readonly #text = element('samples-text', HTMLElement);
  readonly #grid = element('sample-grid', HTMLElement);
  readonly #confusion = element('confusion', HTMLTableElement);
  readonly #confusionBox = element('confusion-box', HTMLElement);
  readonly #scatter = element('scatter', SVGSVGElement);
  readonly #onVisible: () => void;
  #wanted: TestSamples | null = null;
  #samples: TestSamples | null = null;
  #view: ModelView | null = null;
  #isWorstFirst = false;
  #isOnScreen = false;

  /** @param onVisible called when `wanted` has changed */
  constructor(onVisible: () => void) {
    this.#onVisible = onVisible;
    bindRadioGroup('sample-order', (order) => {
      this.#isWorstFirst = order === 'worst';
      this.#draw();
    }).set('given');
    new IntersectionObserver((entries) => {
      this.#isOnScreen = entries.at(-1)?.isIntersecting === true;
      this.update();
    }).observe(this.#section);
  }

  /** Samples to predict; null while they are not visible. */
  get wanted(): TestSamples | null {
    return this.#wanted;
  }

  /** Called when the page becomes visible or hidden. */
  update(): void {
    const wanted = this.#isOnScreen && !document.hidden ? this.#samples : null;
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#onVisible();
  }

  setSamples(samples: TestSamples | null): void {
    this.#samples = samples;
    this.#view = null;
    this.#section.hidden = samples === null;
    setText(this.#text, 'Waiting for the first prediction.');
    this.#draw();
    this.update();
  }

  /** @param values of the model's first output for all samples */
  show(values: Float32Array): void {
    if (this.#samples === null) return;
    this.#view = createModelView(this.#samples, values);
    // An output that is neither a class nor a number has no view.
    this.#section.hidden = this.#view === null;
    this.#draw();
  }

  #draw(): void {
    const view = this.#view;
    this.#confusionBox.hidden = view?.confusion == null;
    this.#scatter.toggleAttribute('hidden', view?.points == null);
    if (view === null || this.#samples === null) {
      this.#grid.replaceChildren();
      return;
    }
    setText(this.#text, view.text);
    const samples = this.#samples;
    const order = this.#isWorstFirst ? worstFirst(view.samples) : view.samples;
    this.#grid.classList.toggle('lines', pictureSize(samples.job) === null);
    this.#grid.replaceChildren(...order.slice(0, MAX_TILES).map((sample) => createTile(samples, sample)));
    if (view.confusion !== null) this.#drawConfusion(view.confusion, view.classNames);
    if (view.points !== null) this.#drawScatter(view.points);
  }

  #drawConfusion(counts: readonly (readonly number[])[], names: readonly string[]): void {
    const head = createElement('tr');
    head.append(createElement('td', 'corner'), ...names.map((name) => headerCell(name, 'col')));
    const largest = Math.max(1, ...counts.flat());
    const rows = counts.map((row, truth) => {
      const line = createElement('tr');
      const cells = row.map((count, label) => {
        const cell = createElement('td', label === truth ? 'hit' : 'miss', count === 0 ? '' : String(count));
        cell.style.setProperty('--fraction', String(count / largest));
        return cell;
      });
      line.append(headerCell(names[truth] ?? '', 'row'), ...cells);
      return line;
    });
    const body = createElement('tbody');
    body.append(head, ...rows);
    this.#confusion.tBodies[0]?.remove();
    this.#confusion.append(body);
  }

  /** True values to the right, predicted ones upwards; the line is where both are equal. */
  #drawScatter(points: readonly (readonly [number, number])[]): void {
    const finite = points.filter((point) => point.every(Number.isFinite));
    const low = Math.min(...finite.flat());
    const range = Math.max(...finite.flat()) - low || 1;
    const place = (value: number): number => (100 * (value - low)) / range;
    const line = svgElement('line', { x1: 0, y1: 100, x2: 100, y2: 0 });
    const dots = finite.map(([truth, predicted]) =>
      svgElement('circle', { cx: place(truth), cy: 100 - place(predicted), r: 1.25 }),
    );
    this.#scatter.replaceChildren(line, ...dots);
  }
}

function headerCell(name: string, scope: 'col' | 'row'): HTMLTableCellElement {
  const cell = createElement('th', '', name);
  cell.scope = scope;
  return cell;
}

function svgElement(name: string, attributes: Readonly<Record<string, number>>): SVGElement {
  const created = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value.toFixed(2));
  return created;
}

/** A sample with its prediction: a picture with two words, or a line. */
function createTile(samples: TestSamples, { index, isRight, truth, predicted }: SampleView): HTMLElement {
  const tile = createElement('li', isRight ? 'right' : 'wrong');
  const size = pictureSize(samples.job);
  if (size === null) tile.append(createElement('span', 'inputs', describeInputs(samples, index)));
  else {
    const [height, width] = size;
    const canvas = createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    canvas.setAttribute('aria-hidden', 'true');
    canvas.getContext('2d')?.putImageData(new ImageData(pixelsOf(samples, index, size), width, height), 0, 0);
    tile.append(canvas);
  }
  tile.append(
    createElement('span', 'predicted', `${isRight ? '✓' : '✗'} ${predicted}`),
    createElement('span', 'truth', `is ${truth}`),
  );
  return tile;
}

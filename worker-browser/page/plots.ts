import uPlot from 'uplot';
import { plotColumns, type Axis, type Quantity } from './curves.ts';
import { element, setText } from './dom.ts';
import { formatPercent } from './format.ts';
import type { RunState } from './run-state.ts';

const HEIGHT = 220;

/** The curves of the run. */
export class Plots {
  readonly #plots: readonly Plot[] = [
    new Plot('loss', element('loss-plot', HTMLElement), element('loss-at', HTMLElement)),
    new Plot('accuracy', element('accuracy-plot', HTMLElement), element('accuracy-at', HTMLElement)),
  ];
  #axis: Axis = 'step';
  #run: RunState | null = null;

  constructor() {
    // Canvases know nothing of the style sheet: other colours need other plots.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#recreate());
  }

  set axis(axis: Axis) {
    this.#axis = axis;
    this.#recreate();
  }

  show(run: RunState): void {
    const { curve, epochs } = run;
    if (this.#run?.curve === curve && this.#run.epochs === epochs) return;
    this.#run = run;
    for (const plot of this.#plots) plot.show(run, this.#axis);
  }

  #recreate(): void {
    for (const plot of this.#plots) plot.remove();
    if (this.#run === null) return;
    for (const plot of this.#plots) plot.show(this.#run, this.#axis);
  }
}

class Plot {
  readonly #quantity: Quantity;
  readonly #container: HTMLElement;
  readonly #readout: HTMLElement;
  #plot: uPlot | null = null;

  /** @param at says the values under the pointer */
  constructor(quantity: Quantity, place: HTMLElement, at: HTMLElement) {
    this.#quantity = quantity;
    this.#container = place;
    this.#readout = at;
    new ResizeObserver(() => this.#plot?.setSize({ width: place.clientWidth, height: HEIGHT })).observe(
      place,
    );
  }

  show({ curve, epochs, steps }: RunState, axis: Axis): void {
    const columns = plotColumns(this.#quantity, axis, curve, epochs, steps);
    this.#plot ??= new uPlot(this.#options(axis), columns, this.#container);
    this.#plot.setData(columns);
  }

  remove(): void {
    this.#plot?.destroy();
    this.#plot = null;
  }

  #options(axis: Axis): uPlot.Options {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const text = { stroke: colour('--quiet'), font: '12px system-ui, sans-serif' };
    const lines = {
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { stroke: colour('--line'), size: 4 },
    };
    const points = axis === 'epoch';
    const format = (value: number): string =>
      this.#quantity === 'accuracy' ? formatPercent(value, 1) : value.toFixed(value < 0.1 ? 4 : 3);
    return {
      width: this.#container.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: {
        x: { time: false },
        y: this.#quantity === 'loss' ? { range: (_plot, _low, high) => [0, Math.max(high * 1.05, 0.1)] } : {},
      },
      axes: [
        { ...text, ...lines, size: 28, ...(points ? { incrs: [1, 2, 5, 10, 20, 50, 100] } : {}) },
        {
          ...text,
          ...lines,
          size: 48,
          values: (_plot, values) =>
            values.map((value) => (this.#quantity === 'accuracy' ? formatPercent(value, 1) : String(value))),
        },
      ],
      series: [
        {},
        { stroke: colour('--faint'), width: 1, spanGaps: true, points: { show: false } },
        { stroke: colour('--training'), width: 2, spanGaps: true, points: { show: points, size: 7 } },
        {
          stroke: colour('--validation'),
          fill: 'transparent',
          width: 2,
          dash: [6, 4],
          spanGaps: true,
          points: { show: true, size: 7, fill: colour('--validation') },
        },
      ],
      hooks: {
        setCursor: [(plot) => setText(this.#readout, describeValues(plot, axis, format))],
      },
    };
  }
}

/** What is under the pointer, in words. */
function describeValues(plot: uPlot, axis: Axis, format: (value: number) => string): string {
  const index = plot.cursor.idx;
  if (index == null) return '';
  const [x, , training, validation] = plot.data.map((column) => column[index]);
  const parts = [
    training == null ? '' : `training ${format(training)}`,
    validation == null ? '' : `validation ${format(validation)}`,
  ].filter((part) => part !== '');
  return x == null ? '' : `${axis} ${x}: ${parts.join(', ')}`;
}

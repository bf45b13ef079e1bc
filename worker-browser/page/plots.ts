import uPlot from 'uplot';
import { plotColumns, shownMetric, type Axis, type Quantity } from './curves.ts';
import { element, setText } from './dom.ts';
import { formatPercent, isFraction } from './format.ts';
import type { RunState } from './run-state.ts';

const HEIGHT = 220;

/** Plots of the run's loss and accuracy. */
export class Plots {
  readonly #plots: readonly Plot[] = [
    new Plot('loss', element('loss-plot', HTMLElement), element('loss-readout', HTMLElement)),
    new Plot('accuracy', element('accuracy-plot', HTMLElement), element('accuracy-readout', HTMLElement)),
  ];
  #axis: Axis = 'step';
  #run: RunState | null = null;
  #metric: Quantity | null = null;

  constructor() {
    // uPlot reads colors once, so other colors need new plots.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#recreate());
  }

  set axis(axis: Axis) {
    this.#axis = axis;
    this.#recreate();
  }

  /** @param chosen metric that a person has chosen to see; null for the first one */
  show(run: RunState, chosen: string | null): void {
    const { curve, epochs } = run;
    const metric = shownMetric(curve.at(-1)?.metrics, chosen);
    const isOther = metric !== this.#metric;
    this.#metric = metric;
    for (const plot of this.#plots) if (plot.isMetric) plot.quantity = metric;
    if (!isOther && this.#run?.curve === curve && this.#run.epochs === epochs) return;
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
  #quantity: Quantity;
  /** Whether the plot is that of a metric, not of the loss. */
  readonly isMetric: boolean;
  readonly #container: HTMLElement;
  readonly #readout: HTMLElement;
  #plot: uPlot | null = null;

  /** @param readout element for the values under the pointer */
  constructor(quantity: Quantity, container: HTMLElement, readout: HTMLElement) {
    this.#quantity = quantity;
    this.isMetric = quantity !== 'loss';
    this.#container = container;
    this.#readout = readout;
    new ResizeObserver(() => this.#plot?.setSize({ width: container.clientWidth, height: HEIGHT })).observe(
      container,
    );
  }

  /** Metric that the plot shows from now on. */
  set quantity(quantity: Quantity) {
    if (quantity === this.#quantity) return;
    this.#quantity = quantity;
    this.remove();
  }

  show({ curve, epochs, stepsPerEpoch }: RunState, axis: Axis): void {
    const columns = plotColumns(this.#quantity, axis, curve, epochs, stepsPerEpoch);
    this.#plot ??= new uPlot(this.#options(axis), columns, this.#container);
    this.#plot.setData(columns);
  }

  remove(): void {
    this.#plot?.destroy();
    this.#plot = null;
  }

  #options(axis: Axis): uPlot.Options {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const text = { stroke: color('--muted'), font: '12px system-ui, sans-serif' };
    const lines = {
      grid: { stroke: color('--border'), width: 1 },
      ticks: { stroke: color('--border'), size: 4 },
    };
    const showPoints = axis === 'epoch';
    const format = (value: number): string =>
      isFraction(this.#quantity) ? formatPercent(value, 1) : value.toFixed(value < 0.1 ? 4 : 3);
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
        { ...text, ...lines, size: 28, ...(showPoints ? { incrs: [1, 2, 5, 10, 20, 50, 100] } : {}) },
        {
          ...text,
          ...lines,
          size: 48,
          values: (_plot, values) =>
            values.map((value) => (isFraction(this.#quantity) ? formatPercent(value, 1) : String(value))),
        },
      ],
      series: [
        {},
        { stroke: color('--training-raw'), width: 1, spanGaps: true, points: { show: false } },
        { stroke: color('--training'), width: 2, spanGaps: true, points: { show: showPoints, size: 7 } },
        {
          stroke: color('--validation'),
          fill: 'transparent',
          width: 2,
          dash: [6, 4],
          spanGaps: true,
          points: { show: true, size: 7, fill: color('--validation') },
        },
      ],
      hooks: {
        setCursor: [(plot) => setText(this.#readout, describeValues(plot, axis, format))],
      },
    };
  }
}

/** Values under the pointer, in words. */
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

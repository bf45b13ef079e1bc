import uPlot from 'uplot';
import {
  plotColumns,
  shownMetric,
  withOtherCurves,
  type Axis,
  type OtherCurve,
  type Quantity,
} from './curves.ts';
import { element, onStyleChange, pixelsOfRem, setText, whileOnScreen } from './dom.ts';
import { MAX_EARLIER, type EarlierRun } from './earlier-runs.ts';
import { formatPercent, isFraction } from './format.ts';
import type { RunState } from './run-state.ts';

/** Height in rem, as all lengths of the page. */
const HEIGHT = 15;
const FONT = 'system-ui, sans-serif';
/** Points of a curve that are marked. */
const MAX_MARKS = 40;
/** Part of the run, its last, that the zoom button shows. */
const ZOOMED_PART = 0.25;
const ZOOM_IN = 'Zoom to the last quarter';
const ZOOM_OUT = 'Show the whole run';

/** Pixels; a shorter drag is a click. */
const MIN_DRAG = 8;

/** Part of the x axis that is visible; null for all of it. */
type Zoom = { readonly min: number; readonly max: number } | null;

/**
 * Plots of the run's loss and accuracy. Dragging over one of them zooms into both, and so does the button, which keyboards reach; a
 * double click shows everything again.
 */
export class Plots {
  readonly #plots: readonly Plot[] = [
    new Plot('loss', element('loss-plot', HTMLElement), element('loss-readout', HTMLElement), (zoom) =>
      this.#zoomTo(zoom),
    ),
    new Plot(
      'accuracy',
      element('accuracy-plot', HTMLElement),
      element('accuracy-readout', HTMLElement),
      (zoom) => this.#zoomTo(zoom),
    ),
  ];
  readonly #draws = this.#plots.map((plot) =>
    whileOnScreen(plot.container, () => {
      if (this.#run !== null) plot.show(this.#run, this.#axis, this.#earlier, this.#zoom);
    }),
  );
  readonly #zoomButton = element('zoom-button', HTMLButtonElement);
  #earlier: readonly EarlierRun[] = [];
  #zoom: Zoom = null;
  #axis: Axis = 'step';
  #run: RunState | null = null;
  #metric: Quantity | null = null;

  constructor() {
    onStyleChange(() => this.#recreate());
    this.#zoomButton.addEventListener('click', () => {
      const max = this.#lastX;
      this.#zoomTo(this.#zoom === null && max > 0 ? { min: max * (1 - ZOOMED_PART), max } : null);
    });
  }

  set axis(axis: Axis) {
    this.#axis = axis;
    this.#zoomTo(null);
    this.#recreate();
  }

  /** Earlier runs that are shown behind this one, the newest first. */
  set earlier(runs: readonly EarlierRun[]) {
    this.#earlier = runs;
    this.#draw();
  }

  get #lastX(): number {
    const { curve, epochs } = this.#run ?? { curve: [], epochs: [] };
    return (this.#axis === 'step' ? curve.at(-1)?.step : epochs.at(-1)?.epoch) ?? 0;
  }

  #zoomTo(zoom: Zoom): void {
    if (this.#zoom?.min === zoom?.min && this.#zoom?.max === zoom?.max) return;
    this.#zoom = zoom;
    setText(this.#zoomButton, zoom === null ? ZOOM_IN : ZOOM_OUT);
    this.#draw();
  }

  #draw(): void {
    for (const draw of this.#draws) draw();
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
    this.#draw();
  }

  #recreate(): void {
    for (const plot of this.#plots) plot.remove();
    this.#draw();
  }
}

class Plot {
  #quantity: Quantity;
  /** Whether the plot is that of a metric, not of the loss. */
  readonly isMetric: boolean;
  readonly container: HTMLElement;
  readonly #readout: HTMLElement;
  readonly #onZoom: (zoom: Zoom) => void;
  #plot: uPlot | null = null;

  /**
   * @param readout element for the values under the pointer
   * @param onZoom called when a person has zoomed this plot
   */
  constructor(
    quantity: Quantity,
    container: HTMLElement,
    readout: HTMLElement,
    onZoom: (zoom: Zoom) => void,
  ) {
    this.#onZoom = onZoom;
    this.#quantity = quantity;
    this.isMetric = quantity !== 'loss';
    this.container = container;
    this.#readout = readout;
    new ResizeObserver(() =>
      this.#plot?.setSize({ width: container.clientWidth, height: pixelsOfRem(HEIGHT) }),
    ).observe(container);
  }

  /** Metric that the plot shows from now on. */
  set quantity(quantity: Quantity) {
    if (quantity === this.#quantity) return;
    this.#quantity = quantity;
    this.remove();
  }

  show(
    { curve, epochs, stepsPerEpoch }: RunState,
    axis: Axis,
    earlier: readonly EarlierRun[],
    zoom: Zoom,
  ): void {
    const columns = plotColumns(this.#quantity, axis, curve, epochs, stepsPerEpoch);
    const others = Array.from({ length: MAX_EARLIER }, (_, i) => this.#curveOf(earlier[i], axis));
    const data = withOtherCurves(columns, others);
    const isEmpty = data[0].length === 0;
    this.container.classList.toggle('empty', isEmpty);
    if (isEmpty) {
      this.remove();
      return;
    }
    this.#plot ??= new uPlot(this.#options(axis), data, this.container);
    this.#plot.setData(data, zoom === null);
    if (zoom !== null) this.#plot.setScale('x', zoom);
  }

  #curveOf(run: EarlierRun | undefined, axis: Axis): OtherCurve {
    if (run === undefined || (this.isMetric && run.metric !== this.#quantity)) return [];
    const points = axis === 'step' ? run.steps : run.epochs;
    return points.map(([x, loss, metric]) => [x, this.isMetric ? metric : loss] as const);
  }

  remove(): void {
    this.#plot?.destroy();
    this.#plot = null;
  }

  #options(axis: Axis): uPlot.Options {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const text = { stroke: color('--muted'), font: `${pixelsOfRem(0.75)}px ${FONT}` };
    const lines = {
      grid: { stroke: color('--border'), width: 1 },
      ticks: { stroke: color('--border'), size: 4 },
    };
    const showPoints = axis === 'epoch';
    const format = (value: number): string =>
      isFraction(this.#quantity) ? formatPercent(value, 1) : value.toFixed(value < 0.1 ? 4 : 3);
    return {
      width: this.container.clientWidth,
      height: pixelsOfRem(HEIGHT),
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false, setScale: false } },
      scales: {
        x: { time: false },
        y: this.#quantity === 'loss' ? { range: (_plot, _low, high) => [0, Math.max(high * 1.05, 0.1)] } : {},
      },
      axes: [
        {
          ...text,
          ...lines,
          size: pixelsOfRem(1.75),
          ...(showPoints ? { incrs: [1, 2, 5, 10, 20, 50, 100] } : {}),
        },
        {
          ...text,
          ...lines,
          size: pixelsOfRem(3.0),
          values: (_plot, values) =>
            values.map((value) => (isFraction(this.#quantity) ? formatPercent(value, 1) : String(value))),
        },
      ],
      series: [
        {},
        { stroke: color('--training-raw'), width: 1, spanGaps: true, points: { show: false } },
        {
          stroke: color('--training'),
          width: pixelsOfRem(0.125),
          spanGaps: true,
          points: { show: showPoints, size: pixelsOfRem(0.4375) },
        },
        {
          stroke: color('--validation'),
          fill: 'transparent',
          width: pixelsOfRem(0.125),
          dash: [6, 4],
          spanGaps: true,
          points: { show: hasFewPoints, size: pixelsOfRem(0.4375), fill: color('--validation') },
        },
        ...Array.from({ length: MAX_EARLIER }, () => ({
          stroke: color('--earlier'),
          width: 1.5,
          spanGaps: true,
          points: { show: false },
        })),
      ],
      hooks: {
        setCursor: [(plot) => setText(this.#readout, describeValues(plot, axis, format))],
        setSelect: [
          (plot) => {
            const { left, width } = plot.select;
            if (width < MIN_DRAG) return;
            this.#onZoom({ min: plot.posToVal(left, 'x'), max: plot.posToVal(left + width, 'x') });
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
        ready: [(plot) => plot.over.addEventListener('dblclick', () => this.#onZoom(null))],
      },
    };
  }
}

/** Whether the points of a curve can be told apart, and so may be marked. */
function hasFewPoints(plot: uPlot, series: number, from: number, to: number): boolean {
  const values = plot.data[series]?.slice(from, to + 1) ?? [];
  return values.filter((value) => value != null).length <= MAX_MARKS;
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

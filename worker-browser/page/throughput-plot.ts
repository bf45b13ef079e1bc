import uPlot from 'uplot';
import { createElement, element, onStyleChange, pixelsOfRem, setText, whileOnScreen } from './dom.ts';
import { formatRate } from './format.ts';
import { MAX_BANDS, stackedEdges, type Stack } from './throughput.ts';

/** Height in rem, as all lengths of the page. */
const HEIGHT = 12.5;
const FONT = 'system-ui, sans-serif';

/** The stacked plot of throughput, with a legend that shows the values under the pointer. */
export class ThroughputPlot {
  readonly #section = element('throughput', HTMLElement);
  readonly #container = element('throughput-plot', HTMLElement);
  readonly #legend = element('throughput-legend', HTMLElement);
  #plot: uPlot | null = null;
  #stack: Stack = { at: [], bands: [] };
  readonly #drawSoon = whileOnScreen(this.#container, () => this.#draw());

  constructor() {
    onStyleChange(() => {
      this.#plot?.destroy();
      this.#plot = null;
      this.show(this.#stack);
    });
    new ResizeObserver(() => {
      const width = this.#container.clientWidth;
      if (width > 0) this.#plot?.setSize({ width, height: pixelsOfRem(HEIGHT) });
    }).observe(this.#container);
  }

  show(stack: Stack): void {
    this.#stack = stack;
    // A curve needs two points, and a worker that has computed.
    const isIdle = stack.bands.every(({ rates }) => rates.every((rate) => rate === 0));
    this.#section.hidden = stack.at.length < 2 || isIdle;
    if (this.#section.hidden) return;
    this.#drawSoon();
    this.#showLegend(null);
    const total = stack.bands.reduce((sum, { rates }) => sum + (rates.at(-1) ?? 0), 0);
    this.#container.setAttribute(
      'aria-label',
      `Throughput by worker, now ${formatRate(total)} samples a second in all`,
    );
  }

  #draw(): void {
    const stack = this.#stack;
    // The highest edge is drawn first, so that the lower bands cover it.
    const edges: (number | null)[][] = stackedEdges(stack.bands).reverse();
    while (edges.length < MAX_BANDS + 1) edges.unshift(stack.at.map(() => null));
    const data: uPlot.AlignedData = [[...stack.at], ...edges];
    this.#plot ??= new uPlot(this.#options(), data, this.#container);
    this.#plot.setData(data);
  }

  /** @param index moment under the pointer; null for the last one */
  #showLegend(index: number | null): void {
    const { bands, at } = this.#stack;
    const i = index ?? at.length - 1;
    while (this.#legend.childElementCount > bands.length) this.#legend.lastElementChild?.remove();
    bands.forEach(({ name, rates }, b) => {
      const item =
        this.#legend.children[b] ?? this.#legend.appendChild(createElement('li', `band band-${b}`));
      setText(item, `${name} ${formatRate(rates[i] ?? 0)}`);
    });
  }

  #options(): uPlot.Options {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const text = { stroke: color('--muted'), font: `${pixelsOfRem(0.75)}px ${FONT}` };
    const lines = {
      grid: { stroke: color('--border'), width: 1 },
      ticks: { stroke: color('--border'), size: 4 },
    };
    return {
      width: this.#container.clientWidth,
      height: pixelsOfRem(HEIGHT),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false }, y: { range: (_plot, _low, high) => [0, Math.max(high * 1.05, 1)] } },
      axes: [
        {
          ...text,
          ...lines,
          size: pixelsOfRem(1.75),
          values: (_plot, values) => values.map((value) => `${value} s`),
        },
        { ...text, ...lines, size: pixelsOfRem(3.5), values: (_plot, values) => values.map(formatRate) },
      ],
      series: [
        {},
        ...Array.from({ length: MAX_BANDS + 1 }, (_, i) => ({
          fill: color(`--band-${MAX_BANDS - i}`),
          stroke: color('--card'),
          width: 1,
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [(plot) => this.#showLegend(plot.cursor.idx ?? null)] },
    };
  }
}

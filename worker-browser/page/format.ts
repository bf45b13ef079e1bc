// Numbers with units, joined by no-break spaces.

/** Larger numbers are written with an exponent. */
const MAX_GROUPED = 1e15;

/** @returns as Intl.NumberFormat writes it, which takes a phone a tenth of a second to load */
function formatNumber(value: number, digits: number): string {
  if (!(Math.abs(value) < MAX_GROUPED)) return value.toPrecision(3);
  const [whole = '', decimals = ''] = value.toFixed(digits).split('.');
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return /[1-9]/.test(decimals) ? `${grouped}.${decimals}` : grouped;
}

export const formatCount = (count: number): string => formatNumber(count, 0);

export const formatRate = (rate: number): string => formatNumber(rate, rate < 10 ? 1 : 0);

/** @param share 0 to 1 */
export const formatPercent = (share: number, digits = 0): string => `${formatNumber(share * 100, digits)}%`;

export const formatMs = (ms: number): string => `${formatNumber(ms, ms < 10 ? 1 : 0)}\u00a0ms`;

export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${formatNumber(value, value < 10 && unit > 0 ? 1 : 0)}\u00a0${units[unit] ?? ''}`;
}

/** Such as '40 s', '3 min' or '2 h 5 min'. */
export function formatDuration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${formatCount(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}

/** Whether a metric is shown in percent. */
export const isFraction = (metric: string): boolean => metric.endsWith('accuracy');

/** Value of a metric as people read it. */
export const formatMetric = (metric: string, value: number): string =>
  isFraction(metric) ? formatPercent(value, 1) : value.toFixed(value < 0.1 ? 4 : 3);

const ENGINE_NAMES: Readonly<Record<string, string>> = {
  wasm: 'WebAssembly',
  webgl: 'WebGL',
  webgpu: 'WebGPU',
  tensorflow: 'TensorFlow',
};

/** Common name of a backend. */
export const engineName = (backend: string): string => ENGINE_NAMES[backend] ?? backend;

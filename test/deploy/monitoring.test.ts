import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { Metrics } from '../../coordinator/observe/metrics.ts';
import { step } from '../shared/protocol/examples.ts';
import { testPool } from '../coordinator/pool/pool-harness.ts';

const read = (name: string): Promise<string> => readFile(new URL(`../../${name}`, import.meta.url), 'utf8');

/** Names of metrics in a text. */
const namesIn = (text: string): Set<string> =>
  new Set([...text.matchAll(/\b(?:gradcast|process|nodejs)_[a-z0-9_]+/g)].map(([name]) => name));

/** Names of the metrics of a coordinator after a step and an epoch. */
async function names(): Promise<Set<string>> {
  const { pool, clock } = testPool();
  const metrics = new Metrics({ pool, clock, observerCount: () => 0 });
  metrics.stepFinished({
    ...{ epoch: 1, step: 1, steps: 1, loss: 1, metrics: { accuracy: 0.5 }, samplesPerSecond: 1, workers: 1 },
    batch: { lossSum: 1, metrics: [], samples: 1 },
    dataWaitMs: 0,
    weights: { step: step(1), source: { averagedWeights: new Float32Array(0) } },
  });
  return namesIn((await metrics.text()).body);
}

it.each(['deploy/monitoring/grafana-dashboard.json', 'deploy/monitoring/prometheus-alerts.yaml'])(
  '%s names metrics that the coordinator has',
  async (file) => {
    const used = namesIn(await read(file));
    expect(used.size).toBeGreaterThan(5);
    expect([...used].filter((name) => !existing.has(name))).toEqual([]);
  },
);
const existing = await names();

it('the table of metrics has all that are of gradcast', async () => {
  const documented = namesIn(await read('docs/metrics.md'));
  const own = [...existing].filter((name) => name.startsWith('gradcast_'));
  const base = own.filter((name) => !/_(?:bucket|sum|count)$/.test(name));
  expect(base.filter((name) => !documented.has(name))).toEqual([]);
});

it('the dashboard has panels with queries that do not overlap', async () => {
  const { panels } = JSON.parse(await read('deploy/monitoring/grafana-dashboard.json')) as {
    panels: { title: string; gridPos: Record<'x' | 'y' | 'w' | 'h', number>; targets: { expr: string }[] }[];
  };
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  expect(panels.every(({ targets }) => targets.length > 0 && targets.every(({ expr }) => expr !== ''))).toBe(
    true,
  );
});

// Simulates thousands of workers through relays in one process, on a virtual clock: the sessions of the workers, the relays, the
// coordinator, their rounds and codecs are the real ones, the sockets are not. Workers compute nothing. A tree of 64,64 has 64 relays
// with 64 workers each; 4096 has no relays.
import { setMaxListeners } from 'node:events';
import { Command } from 'commander';
import { integer } from '../cli/options.ts';
import {
  CoordinatorHost,
  type HostedRun,
  type HostedRunOptions,
} from '../coordinator/hosting/coordinator.ts';
import { growHeap } from '../coordinator/commands/run-training.ts';
import { parseCodecRule } from '../coordinator/links/codecs.ts';
import { prepareJob } from '../coordinator/model/model.ts';
import { createOptimizer } from '../coordinator/optimizer/optimizer.ts';
import { waitForWorkers } from '../coordinator/pool/wait-for-workers.ts';
import { runRelay } from '../coordinator/relay/run-relay.ts';
import { plainReporter } from '../coordinator/report/plain.ts';
import { readSamples } from '../shared/data/dataset.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import type { Engine } from '../shared/engine/engine.ts';
import { layoutOf } from '../shared/model/layout.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { runWorker } from '../shared/worker/connection-loop.ts';
import { collectGarbage } from '../test/support/collect-garbage.ts';
import { nullEngine } from './support/null-engine.ts';
import { createNode, SimulatedNetwork, type SimulatedNode } from './support/simulated-network.ts';
import { smallModel } from './support/small-model.ts';
import { median } from './support/statistics.ts';

interface Flags {
  readonly trees: string;
  readonly codec: string;
  readonly rate: number;
  readonly rootRate: number;
  readonly delay: number;
  readonly compute: number;
  readonly samples: number;
  readonly steps: number;
}

const flags = new Command('npm run bench -- scale-relays')
  .description('Simulates thousands of workers through relays, on a virtual clock.')
  .option('--trees <list>', 'children of each level, such as 64x64', '64,256,8x32,4096,64x64,16x16x16')
  .option('--codec <name>', 'codecs of all links', 'float32')
  .option('--rate <gbit>', 'Gb/s of the network card of a relay and of a worker', Number, 1)
  .option('--root-rate <gbit>', 'Gb/s of the network card of the coordinator', Number, 1)
  .option('--delay <ms>', 'delay of a link in one direction', Number, 0.2)
  .option('--compute <ms>', 'virtual time that a worker needs for a shard', Number, 20)
  .option('--samples <n>', 'samples of a step per worker', integer(1, 1_024), 2)
  .option('--steps <n>', 'measured steps', integer(1, 10_000), 5)
  .parse()
  .opts<Flags>();

/** First steps, in which workers prove themselves and buffers are allocated. */
const WARM_UP_STEPS = 5;
const GIGABIT = 1e9;
const PROGRESS_MS = 5_000;

/** Place of a run that simulated clients join. */
class SimulatedHost extends CoordinatorHost {
  run: HostedRun | null = null;

  override open(options: HostedRunOptions): HostedRun {
    this.run = super.open(options);
    return this.run;
  }
}

async function measure(tree: readonly number[]): Promise<string[]> {
  const startedMs = performance.now();
  const workers = tree.reduce((product, children) => product * children, 1);
  const network = new SimulatedNetwork(flags.delay);
  const { signal } = new AbortController();
  setMaxListeners(Infinity, signal);
  const nothing = (): void => undefined;
  const report = plainReporter(nothing, network);
  const random = seededRandom();
  const batchSize = workers * flags.samples;
  const dataset = syntheticDigits({ seed: 1, trainCount: batchSize, testCount: 10 });
  const { job, initialWeights } = await prepareJob(dataset, {
    batchSize,
    epochs: 1,
    seed: 1,
    topology: smallModel,
  });
  const hostOf = (children: number): SimulatedHost =>
    new SimulatedHost({ maxWorkers: children, maxRuns: Infinity, pageDir: 'dist/page', clock: network });
  const openCoordinatorEngine = (): Promise<{ engine: Engine; close: () => Promise<void> }> =>
    Promise.resolve({ engine: nullEngine, close: () => Promise.resolve() });

  const root = createNode('root', flags.rootRate * GIGABIT);
  const rootHost = network.as(root, () => hostOf(tree[0] ?? 1));
  const run = network.as(root, () =>
    rootHost.open({ job, report, signal, codecs: parseCodecRule(flags.codec), openCoordinatorEngine }),
  );
  const memoryBefore = memoryBytes();

  let level: { readonly node: SimulatedNode; readonly host: SimulatedHost }[] = [
    { node: root, host: rootHost },
  ];
  const common = { clock: network, random, signal };
  for (const [depth, children] of tree.entries()) {
    const next: typeof level = [];
    for (const { node: parent, host: parentHost } of level) {
      for (let i = 0; i < children; i++) {
        const node = createNode(`${parent.name}.${i}`, flags.rate * GIGABIT);
        const connect = network.connectTo(parent, node, () => parentHost.run);
        const place = { url: `ws://${parent.name}`, name: node.name, connect };
        if (depth === tree.length - 1) {
          const ended = network.as(node, () =>
            runWorker({
              ...common,
              ...place,
              engine: slowedEngine(network),
              report: { joined: nothing, computed: nothing, waiting: nothing, note: nothing },
            }),
          );
          void ended;
          continue;
        }
        const host = network.as(node, () => hostOf(tree[depth + 1] ?? 1));
        next.push({ node, host });
        void network.as(node, () =>
          runRelay({
            ...common,
            ...place,
            host,
            version: '1',
            report,
            codec: flags.codec,
            openCoordinatorEngine,
          }),
        );
      }
    }
    level = next;
  }
  await network.until(waitForWorkers(run.pool, tree[0] ?? 1, null, network, signal));
  // Relays join with their first worker; the others follow.
  const allJoined = async (): Promise<void> => {
    for (const { host } of level.length > 0 ? level : [])
      if (host.run !== null) await waitForWorkers(host.run.pool, tree.at(-1) ?? 1, null, network, signal);
  };
  await network.until(allJoined());
  const joinedMs = network.now();

  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  optimizer.weights.set(initialWeights);
  const numbers = Uint32Array.from({ length: batchSize }, (_, i) => i);
  const batch = readSamples(dataset.train, numbers);
  const all = WARM_UP_STEPS + flags.steps;
  const stepsMs: number[] = [];
  let before = { ...root };
  let printedMs = performance.now();
  const firstStepMs = printedMs;
  for (let step = 0; step < all; step++) {
    if (step === WARM_UP_STEPS) before = { ...root };
    const startMs = network.now();
    await network.until(
      network.as(root, () =>
        run.stepRunner.run({ step: step as Step, batch, isJobData: true, optimizer }, batch),
      ),
    );
    if (step >= WARM_UP_STEPS) stepsMs.push(network.now() - startMs);
    if (performance.now() - printedMs < PROGRESS_MS) continue;
    printedMs = performance.now();
    const leftMs = ((printedMs - firstStepMs) / (step + 1)) * (all - step - 1);
    console.error(`  ${tree.join('x')}: step ${step + 1} of ${all}, ETA ${(leftMs / 1000).toFixed(0)} s`);
  }
  const memory = memoryBytes() - memoryBefore;
  const steps = flags.steps;
  const cpuMs = (root.cpuMs - before.cpuMs) / steps;
  const kilobytes = (bytes: number): string => (bytes / steps / 1024).toFixed(0);
  return [
    tree.join(' x '),
    workers,
    run.pool.workers.size,
    (joinedMs / 1000).toFixed(1),
    median(stepsMs).toFixed(1),
    cpuMs.toFixed(1),
    ((1000 * cpuMs) / workers).toFixed(1),
    `${((root.messagesOut - before.messagesOut) / steps).toFixed(0)}, ${((root.messagesIn - before.messagesIn) / steps).toFixed(0)}`,
    `${kilobytes(root.bytesOut - before.bytesOut)}, ${kilobytes(root.bytesIn - before.bytesIn)}`,
    (memory / workers / 1024).toFixed(0),
    ((performance.now() - startedMs) / 1000).toFixed(0),
  ].map(String);
}

/** The engine that computes nothing, in virtual time. */
function slowedEngine(network: SimulatedNetwork): Engine {
  return {
    ...nullEngine,
    load: async (job) => {
      const computer = await nullEngine.load(job);
      return {
        ...computer,
        async gradient(...args) {
          await new Promise<void>((resolve) => network.after(flags.compute, resolve));
          return computer.gradient(...args);
        },
      };
    },
  };
}

/** Heap and buffers after a garbage collection. */
function memoryBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Numbers in [0, 1) that are the same in each run (a linear congruential generator, Numerical Recipes). */
function seededRandom(): () => number {
  let state = 1;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

growHeap();
const columns = [
  'tree',
  'workers',
  'at the coordinator',
  'all joined, virtual s',
  'step, virtual ms',
  'CPU of the coordinator a step, ms',
  'a worker, µs',
  'messages a step, out and in',
  'KB a step, out and in',
  'memory of all sides a worker, KB',
  'real s',
];
console.log(`| ${columns.join(' | ')} |\n|${columns.map(() => ' --- |').join('')}`);
for (const tree of flags.trees.split(',')) {
  const cells = await measure(tree.split('x').map(Number));
  console.log(`| ${cells.join(' | ')} |`);
}
process.exit(0);

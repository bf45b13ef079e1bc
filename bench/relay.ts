// Measures training steps of workers in a local network that reaches the coordinator by one uplink: each worker connected to the
// coordinator itself, and all of them through a relay beside them. Each process has a network namespace of its own on one switch,
// with a gigabit a second; the coordinator's link to the switch is the uplink. Workers sleep instead of computing.
import { spawn, type ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { bitRate, integer } from '../cli/options.ts';
import { parseCodecRule } from '../coordinator/links/codecs.ts';
import { prepareJob } from '../coordinator/model/model.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import { runCell, type Cell, type LinkWorker } from './links/cell.ts';
import { canShape, COORDINATOR_ADDRESS, isInside, runInside, ShapedNetwork } from './links/namespaces.ts';
import type { LinkShape, LinkWorkerConfig } from './links/shape.ts';
import { nextMessage } from './support/children.ts';

interface Flags {
  readonly workers: number;
  readonly batch: number;
  readonly uplink: number;
  readonly delay: number;
  readonly codecs: string;
  readonly perSample: number;
  readonly verbose?: boolean;
}

const flags = new Command('npm run bench -- relay')
  .description('Measures workers behind one uplink, with and without a relay.')
  .option('--workers <n>', 'workers in the local network', integer(1, 64), 4)
  .option('--batch <n>', 'samples of a step', integer(1, 65_536), 128)
  .option('--uplink <rate>', 'rate of the uplink, in both directions', bitRate, 1e8)
  .option('--delay <ms>', 'delay of the uplink in one direction', Number, 2)
  .option('--codecs <names>', 'codecs of all links', 'float32,auto')
  .option('--per-sample <ms>', 'time that a worker sleeps per sample', Number, 1)
  .option('--verbose', 'print every step')
  .parse()
  .opts<Flags>();

if (!isInside()) {
  if (!canShape()) throw new Error('This bench needs network namespaces.');
  process.exit(runInside());
}

const LAN: LinkShape = { name: 'LAN', bitsPerSecond: 1e9, delayMs: 0.2 };
const network = new ShapedNetwork();
const children: ChildProcess[] = [];
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  network.close();
});
for (const ending of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(ending, () => process.exit(130));

/** Starts a program of bench/links/ in a namespace of its own. */
async function start(program: string, name: string): Promise<{ child: ChildProcess; address: string }> {
  const [command, ...prefix] = ShapedNetwork.prefix;
  const entry = join(dirname(process.argv[1] ?? ''), 'links', `${program}.js`);
  const child = spawn(command, [...prefix, process.execPath, entry, name], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.push(child);
  await nextMessage(child);
  return { child, address: network.attach(child.pid ?? 0) };
}

function run(child: ChildProcess, config: LinkWorkerConfig): Promise<unknown> {
  const ended = nextMessage(child);
  child.send(config);
  return ended;
}

const processes: ChildProcess[] = [];
for (let i = 0; i < flags.workers; i++) processes.push((await start('worker', `worker-${i}`)).child);
const relay = await start('relay-process', 'relay');
network.shape(LAN, flags.uplink);

const direct: LinkWorker[] = processes.map((child) => ({ run: (config) => run(child, config) }));
/** The relay and all workers, which are one worker to the coordinator. @param codec of the links between them */
const relayed = (codec: string): LinkWorker => ({
  async run(config) {
    const port = await run(relay.child, {
      ...config,
      verbose: flags.verbose === true,
      codec,
    });
    const ended = nextMessage(relay.child);
    const below = { ...config, url: `ws://${relay.address}:${String(port)}`, delayMs: LAN.delayMs };
    await Promise.all(processes.map((child) => run(child, below)));
    return ended;
  },
});

const dataset = syntheticDigits({ seed: 1, trainCount: 2 * flags.batch, testCount: 10 });
const prepared = await prepareJob(dataset, { batchSize: flags.batch, epochs: 1, seed: 1 });
const measure = (codecs: string, workers: readonly LinkWorker[]): Promise<Cell> =>
  runCell({
    prepared,
    dataset,
    batch: flags.batch,
    link: { name: 'uplink', bitsPerSecond: flags.uplink, delayMs: flags.delay },
    host: COORDINATOR_ADDRESS,
    codecs: parseCodecRule(codecs),
    workers,
    shapedOutside: true,
    perSampleMs: flags.perSample,
    firstBucketAt: 0.5,
    // Workers join a relay one after the other, and begin on probation.
    warmUpSteps: 12,
    verbose: flags.verbose === true,
  });

console.log(
  `${flags.workers} workers behind an uplink of ${flags.uplink / 1e6} Mb/s and ${flags.delay} ms, batch ${flags.batch}, ${flags.perSample} ms per sample; medians`,
);
console.log('| codecs | direct | through a relay | steps a second |\n| --- | --- | --- | --- |');
for (const codecs of flags.codecs.split(',')) {
  const without = await measure(codecs, direct);
  const withRelay = await measure(codecs, [relayed(codecs)]);
  const describe = ({ stepMs, codecs: used, upBytes }: Cell, count: number): string =>
    `${stepMs.toFixed(0)} ms (${used}, ${((count * upBytes) / 1e6).toFixed(2)} MB up)`;
  const gain = (without.stepMs / withRelay.stepMs).toFixed(2);
  console.log(`| ${codecs} | ${describe(without, flags.workers)} | ${describe(withRelay, 1)} | ${gain} x |`);
}
process.exit(0);

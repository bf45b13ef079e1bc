// Measures the cost of hostile clients: steps per second of four honest workers without and with each attack, the peak of the
// coordinator's memory and descriptors, and the slowest answer of /health. The coordinator is this process; workers compute
// nothing, and attackers have processes of their own. Arguments: [seconds per attack = 5] [part of an attack's name]
import { readdirSync } from 'node:fs';
import { forkEntry, nextMessage } from './support/children.ts';
import {
  startInProcessCoordinator,
  type InProcessCoordinator,
  type InProcessCoordinatorOptions,
} from './support/in-process-coordinator.ts';
import { LARGE_ATTACKS, SMALL_ATTACKS } from './support/attacks.ts';
import { tinyTopology } from '../test/support/test-coordinator.ts';

const WORKERS = 4;
const seconds = Number(process.argv[2] ?? 5);
const wanted = process.argv[3] ?? '';

interface Measurements {
  readonly stepsPerSecond: number;
  /** Steps per second of the coordinator's CPU time, which does not depend on other programs. */
  readonly stepsPerCpuSecond: number;
  readonly longestStepMs: number;
  readonly memoryMb: number;
  readonly descriptors: number;
  readonly healthMs: number;
}

async function measure({ coordinator, step }: InProcessCoordinator, forMs: number): Promise<Measurements> {
  let memory = 0;
  let descriptors = 0;
  let healthMs = 0;
  let longestStepMs = 0;
  const timer = setInterval(() => {
    memory = Math.max(memory, process.memoryUsage.rss());
    descriptors = Math.max(descriptors, readdirSync('/dev/fd').length);
    const requestedMs = performance.now();
    fetch(`http://127.0.0.1:${coordinator.port}/health`).then(
      () => (healthMs = Math.max(healthMs, performance.now() - requestedMs)),
      () => (healthMs = Infinity),
    );
  }, 250);
  const startedMs = performance.now();
  const before = process.cpuUsage();
  let steps = 0;
  while (performance.now() - startedMs < forMs) {
    longestStepMs = Math.max(longestStepMs, await step());
    steps++;
  }
  clearInterval(timer);
  const { user, system } = process.cpuUsage(before);
  const stepsPerCpuSecond = (steps * 1e6) / (user + system);
  const stepsPerSecond = steps / ((performance.now() - startedMs) / 1_000);
  return {
    stepsPerSecond,
    stepsPerCpuSecond,
    longestStepMs,
    memoryMb: memory / 2 ** 20,
    descriptors,
    healthMs,
  };
}

/** @param before measurements just before the attack, since other programs may keep the processors busy */
const printRow = (name: string, measured: Measurements, before: Measurements): void =>
  console.log(
    `  ${name.padEnd(34)} ${measured.stepsPerSecond.toFixed(0).padStart(5)} steps/s (${before.stepsPerSecond.toFixed(0)} without it), ` +
      `${measured.stepsPerCpuSecond.toFixed(0)} per second of CPU time (${before.stepsPerCpuSecond.toFixed(0)}), ` +
      `longest ${measured.longestStepMs.toFixed(0)} ms (${before.longestStepMs.toFixed(0)}), ` +
      `${measured.memoryMb.toFixed(0)} MB (${before.memoryMb.toFixed(0)}), ` +
      `${measured.descriptors} descriptors, /health ${measured.healthMs.toFixed(0)} ms`,
  );

/** Trains a model on four honest workers, before and during each attack. */
async function honestRun(
  options: Pick<InProcessCoordinatorOptions, 'topology'>,
  attacks: Readonly<Record<string, unknown>>,
): Promise<void> {
  const names = Object.keys(attacks).filter((name) => name.includes(wanted));
  if (names.length === 0) return;
  const here = await startInProcessCoordinator({
    workers: WORKERS,
    batch: 128,
    maxWorkers: 1_000,
    ...options,
  });
  const workers = Array.from({ length: WORKERS }, () => forkEntry('null-worker', [here.url]));
  await here.allWorkersReady();
  await measure(here, 1_000);
  for (const name of names) {
    const before = await measure(here, seconds * 1_000);
    const child = forkEntry('attacker', [here.url, name]);
    await nextMessage(child);
    printRow(name, await measure(here, seconds * 1_000), before);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    // The coordinator frees the memory of the attack before the next one begins.
    await measure(here, 2_000);
  }
  await here.coordinator.close('done');
  for (const worker of workers) worker.kill();
}

console.log('a model of 7,850 parameters');
await honestRun({ topology: tinyTopology([28, 28, 1], 10) }, SMALL_ATTACKS);
console.log('the default model of 1.2 million');
await honestRun({}, LARGE_ATTACKS);
process.exit(0);

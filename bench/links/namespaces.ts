import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import type { LinkShape } from './shape.ts';

/** Address of the coordinator in the workers' namespaces. */
export const COORDINATOR_ADDRESS = '10.77.0.1';
const NAMESPACE_VARIABLE = 'GRADCAST_BENCH_NAMESPACE';

/** Length of a burst of a token bucket. Shorter bursts cost more interrupts. */
const BURST_MS = 0.5;
const MIN_BURST_BYTES = 10_000;
/** Bytes of a network frame. Large frames save processor time, since no network card does the work. */
const MTU = 9_000;
/** Bytes of a link's queue: enough that no frame is dropped. */
const QUEUE_BYTES = 16_000_000;

/** Options of unshare for a new network namespace. Root needs no user namespace and can then configure TCP. */
const unshareNet = process.getuid?.() === 0 ? ['-n'] : ['-rn'];

/** True if this user may create network namespaces with shaped links. */
export function canShape(): boolean {
  const script =
    'ip link add v0 type veth peer name v1 && tc qdisc add dev v0 root tbf rate 1mbit burst 5kb limit 10kb && ip link add b0 type bridge';
  return spawnSync('unshare', [...unshareNet, 'sh', '-c', script], { stdio: 'ignore' }).status === 0;
}

export const isInside = (): boolean => process.env[NAMESPACE_VARIABLE] !== undefined;

/** Runs this program again in a network namespace of its own. @returns its exit code */
export function runInside(): number {
  const { status } = spawnSync('unshare', [...unshareNet, process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [NAMESPACE_VARIABLE]: '1' },
  });
  return status ?? 1;
}

/**
 * A switch that connects the coordinator's namespace, which is this process' own, with one namespace per worker. Each has a
 * link with a rate in both directions. Namespaces and links disappear when their processes end.
 */
export class ShapedNetwork {
  readonly #hub: ChildProcess;
  readonly #workers: number[] = [];

  constructor() {
    // `cat` ends with this process, since the pipe is closed then.
    this.#hub = spawn('unshare', ['-n', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
    this.#hub.on('error', () => undefined);
    waitForNamespace(this.#hub.pid ?? 0);
    run('echo cubic > /proc/sys/net/ipv4/tcp_congestion_control 2>/dev/null || true');
    run(`ip link set lo up; ip link add c0 mtu ${MTU} type veth peer name hub0 mtu ${MTU}`);
    run(`ip link set hub0 netns ${this.#hub.pid ?? 0}`);
    run(`ip addr add ${COORDINATOR_ADDRESS}/24 dev c0; ip link set c0 up`);
    this.#inHub(
      `ip link add br0 mtu ${MTU} type bridge; ip link set br0 up; ip link set hub0 master br0; ip link set hub0 up`,
    );
  }

  /** Start of a command that runs a program in a namespace of its own. */
  static readonly prefix = ['unshare', '-n'] as const;

  /** Connects the namespace of a worker's process. @returns its address */
  attach(pid: number): string {
    waitForNamespace(pid);
    const i = this.#workers.push(pid) - 1;
    const address = `10.77.0.${10 + i}`;
    run(
      `ip link add w${i} mtu ${MTU} type veth peer name e0 mtu ${MTU} netns ${pid}; ip link set w${i} netns ${this.#hub.pid ?? 0}`,
    );
    this.#inHub(`ip link set w${i} master br0; ip link set w${i} up`);
    inside(
      pid,
      `echo cubic > /proc/sys/net/ipv4/tcp_congestion_control 2>/dev/null || true; ip link set lo up; ip addr add ${address}/24 dev e0; ip link set e0 up`,
    );
    return address;
  }

  /** Sets the rates of the workers' links and of the coordinator's link. */
  shape(worker: LinkShape, coordinatorBitsPerSecond: number): void {
    run(shaping('c0', coordinatorBitsPerSecond));
    const ports = this.#workers.map((_, i) => shaping(`w${i}`, worker.bitsPerSecond));
    this.#inHub([shaping('hub0', coordinatorBitsPerSecond), ...ports].join('; '));
    for (const pid of this.#workers) inside(pid, shaping('e0', worker.bitsPerSecond));
  }

  close(): void {
    this.#hub.kill();
  }

  #inHub(script: string): void {
    inside(this.#hub.pid ?? 0, script);
  }
}

function shaping(device: string, bitsPerSecond: number): string {
  const burst = Math.round(Math.max(MIN_BURST_BYTES, (bitsPerSecond / 8_000) * BURST_MS));
  return `tc qdisc replace dev ${device} root tbf rate ${bitsPerSecond}bit burst ${burst} limit ${QUEUE_BYTES}`;
}

function run(script: string): void {
  execFileSync('sh', ['-ec', script], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Start of a command that runs in the namespace of a process. */
export const inNamespace = (pid: number): readonly string[] => ['nsenter', '-t', String(pid), '-n'];

function inside(pid: number, script: string): void {
  const options = { stdio: ['ignore', 'ignore', 'inherit'] } as const;
  execFileSync('nsenter', ['-t', String(pid), '-n', 'sh', '-ec', script], { stdio: [...options.stdio] });
}

/** Waits until `unshare` has moved the process into a namespace other than this one. */
function waitForNamespace(pid: number): void {
  const script = `for i in $(seq 200); do [ "$(readlink /proc/${pid}/ns/net)" != "$(readlink /proc/$$/ns/net)" ] && exit 0; sleep 0.01; done; exit 1`;
  execFileSync('sh', ['-c', script]);
}

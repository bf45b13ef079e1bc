import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { inNamespace } from './namespaces.ts';

export interface DdpOptions {
  /** Path of a Python with PyTorch. */
  readonly python: string;
  /** Processes in whose namespaces the ranks run. */
  readonly pids: readonly number[];
  readonly address: string;
  readonly computeMs: number;
  readonly firstBucketAt: number;
  readonly steps: number;
}

/** Measures steps of PyTorch's DDP over the same links, in ms. @throws Error if a rank ends without an answer */
export async function runDdp(options: DdpOptions): Promise<number[]> {
  const { python, pids, address, computeMs, firstBucketAt, steps } = options;
  const ranks = pids.map((pid, rank) => {
    const script = [
      'bench/baselines/torch_ddp_links.py',
      rank,
      pids.length,
      address,
      computeMs,
      firstBucketAt,
      steps,
    ];
    const [command = '', ...args] = [...inNamespace(pid), python, ...script.map(String)];
    return spawn(command, args, {
      stdio: ['ignore', rank === 0 ? 'pipe' : 'ignore', 'inherit'],
      env: { ...process.env, GLOO_SOCKET_IFNAME: 'e0', OMP_NUM_THREADS: '1', PYTHONDONTWRITEBYTECODE: '1' },
    });
  });
  const stop = (): void => ranks.forEach((rank) => rank.kill('SIGKILL'));
  process.once('exit', stop);
  try {
    const output = ranks[0]?.stdout;
    if (output === null || output === undefined) throw new Error('PyTorch could not be started.');
    for await (const line of createInterface({ input: output })) {
      if (line.startsWith('[')) return JSON.parse(line) as number[];
    }
    throw new Error('PyTorch ended without an answer.');
  } finally {
    stop();
    process.off('exit', stop);
  }
}

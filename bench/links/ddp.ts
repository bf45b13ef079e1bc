import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { inNamespace } from './namespaces.ts';

export interface DdpOptions {
  /** A Python that has PyTorch. */
  readonly python: string;
  /** Whose namespaces the ranks run in, and where rank 0 is found. */
  readonly pids: readonly number[];
  readonly address: string;
  readonly computeMs: number;
  readonly tailAt: number;
  readonly steps: number;
}

/** Steps of PyTorch's DDP over the same links, in ms. @throws Error if it ends without having said */
export async function runDdp(options: DdpOptions): Promise<number[]> {
  const { python, pids, address, computeMs, tailAt, steps } = options;
  const ranks = pids.map((pid, rank) => {
    const script = [
      'bench/baselines/torch_ddp_links.py',
      rank,
      pids.length,
      address,
      computeMs,
      tailAt,
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
    throw new Error('PyTorch ended before it had answered.');
  } finally {
    stop();
    process.off('exit', stop);
  }
}

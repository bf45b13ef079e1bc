import type { WorkerId } from '../../../shared/protocol/messages.ts';
import type { WorkerPool } from '../../members/worker-pool.ts';
import type { Report } from '../../report/report.ts';
import type { Doubts } from '../active-round.ts';
import type { Range } from '../schedule.ts';
import { expel } from './expel.ts';
import { GradientNorms } from './gradient-norms.ts';

export interface NormDoubts extends Doubts {
  /** A step begins. */
  begin(): void;
}

/** Has gradients that are far too large computed by somebody else too, and expels whoever was wrong. */
export function normDoubts(pool: WorkerPool, report: Pick<Report, 'warn'>): NormDoubts {
  const norms = new GradientNorms();
  const nameOf = (id: WorkerId): string => pool.members.get(id)?.name ?? 'somebody who has left';
  return {
    begin: () => norms.begin(),
    mayCount: (worker: WorkerId, shard: Range, norm: number) => norms.mayCount(worker, shard, norm),
    counted(worker, shard, norm) {
      for (const odd of norms.counted(worker, shard, norm)) {
        const found = `the norm of its gradient was ${odd.norm.toPrecision(3)}, ${nameOf(worker)} found ${norm.toPrecision(3)}`;
        expel(pool, report, odd.worker, found);
      }
    },
  };
}

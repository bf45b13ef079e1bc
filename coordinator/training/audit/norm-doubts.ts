import type { WorkerId } from '../../../shared/protocol/messages.ts';
import type { WorkerPool } from '../../members/worker-pool.ts';
import type { Report } from '../../report/report.ts';
import type { Doubts } from '../active-round.ts';
import type { Range } from '../../../shared/range.ts';
import { expel } from './expel.ts';
import { GradientNorms } from './gradient-norms.ts';

export interface NormDoubts extends Doubts {
  /** A step begins. */
  begin(): void;
}

/** Who was much smaller before: one could be the liar, who makes an honest worker look large. */
const WITNESSES = 2;

/** Has gradients that are far too large computed by somebody else too, and expels whoever was wrong, or names the two of whom one is. */
export function normDoubts(pool: WorkerPool, report: Pick<Report, 'warn'>): NormDoubts {
  const norms = new GradientNorms();
  /** Those of whom it was said that they may be wrong. */
  const told = new Set<WorkerId>();
  const nameOf = (id: WorkerId): string => pool.members.get(id)?.name ?? 'somebody who has left';
  return {
    begin: () => norms.begin(),
    mayCount: (worker: WorkerId, shard: Range, norm: number, whole: boolean) =>
      norms.mayCount(worker, shard, norm, whole),
    counted(worker, shard, norm) {
      for (const odd of norms.counted(worker, shard, norm)) {
        const [theirs, counted] = [odd.norm.toPrecision(3), norm.toPrecision(3)];
        if (odd.peers >= WITNESSES) {
          expel(
            pool,
            report,
            odd.worker,
            `the norm of its gradient was ${theirs}, ${nameOf(worker)} found ${counted}`,
          );
        } else if (!told.has(odd.worker)) {
          told.add(odd.worker);
          report.warn(
            `${nameOf(odd.worker)} and ${nameOf(worker)} differ about a gradient: its norm is ${theirs} or ${counted}, which counts. ` +
              'One of them is wrong; it takes a third worker to find out.',
            { event: 'disputed', workers: [nameOf(odd.worker), nameOf(worker)] },
          );
        }
      }
    },
  };
}

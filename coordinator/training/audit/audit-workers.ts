import type { WorkerId } from '../../../shared/protocol/messages.ts';
import type { WorkerPool } from '../../members/worker-pool.ts';
import type { Report } from '../../report/report.ts';
import { Audits } from './audits.ts';
import { expel } from './expel.ts';

/**
 * Audits the workers of a pool, expels those that are wrong and says so.
 * @param fraction of the shards that are computed twice
 */
export function auditWorkers(
  pool: WorkerPool,
  report: Pick<Report, 'warn'>,
  fraction: number,
  random: () => number = Math.random,
): Audits {
  const nameOf = (id: WorkerId): string => pool.members.get(id)?.name ?? 'somebody who has left';
  return new Audits({
    fraction,
    random,
    onDispute(a, b) {
      const third = pool.members.size > 2 ? '' : ' It takes a third worker to find out.';
      report.warn(`${nameOf(a)} and ${nameOf(b)} differ about a gradient: one of them is wrong.${third}`, {
        event: 'disputed',
        workers: [nameOf(a), nameOf(b)],
      });
    },
    onWrong(worker, by) {
      expel(pool, report, worker, `its gradients are not those of ${by.map(nameOf).join(' and ')}`);
    },
  });
}

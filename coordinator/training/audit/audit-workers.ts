import { CloseCode } from '../../../shared/protocol/close-code.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import type { WorkerPool } from '../../members/worker-pool.ts';
import { plural, type Report } from '../../report/report.ts';
import { Audits } from './audits.ts';

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
      const member = pool.members.get(worker);
      if (member === undefined) return;
      const others = by.map(nameOf).join(' and ');
      const { name, engine, accepted } = member;
      report.warn(
        `${name} (${engine.backend} on ${engine.device}) is expelled: its gradients are not those of ${others}. ` +
          `${plural(accepted, 'answer')} of it had counted.`,
        { event: 'expelled', worker: name, ...engine, accepted },
      );
      pool.drop(member, CloseCode.wrongGradient, `Its gradients are not those of ${others}.`);
    },
  });
}

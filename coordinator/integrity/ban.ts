import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { WorkerPool } from '../pool/pool.ts';
import { pluralize, type Reporter } from '../report/reporter.ts';

/**
 * Drops a worker whose answers are wrong, with a warning that names its device and the number of its answers.
 * @param found phrase that says what is wrong
 */
export function ban(pool: WorkerPool, report: Pick<Reporter, 'warn'>, worker: WorkerId, found: string): void {
  const banned = pool.workers.get(worker);
  if (banned === undefined) {
    report.warn(`A worker that has left was wrong: ${found}.`, { event: 'banned' });
    return;
  }
  const { name, engine, health } = banned;
  report.warn(
    `${name} (${engine.backend} on ${engine.device}) is banned: ${found}. It had given ${pluralize(health.acceptedAnswers, 'answer')}.`,
    { event: 'banned', worker: name, ...engine, accepted: health.acceptedAnswers },
  );
  pool.drop(banned, CloseCode.wrongGradient, `${found.charAt(0).toUpperCase()}${found.slice(1)}.`);
}

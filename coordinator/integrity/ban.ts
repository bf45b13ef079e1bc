import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { WorkerPool } from '../pool/pool.ts';
import { pluralize, type Reporter } from '../report/reporter.ts';

/**
 * Closes the connection of a worker whose answers are wrong, and says whose, on which device, and how many it has given.
 * @param found what is wrong, in the middle of a sentence
 */
export function ban(pool: WorkerPool, report: Pick<Reporter, 'warn'>, worker: WorkerId, found: string): void {
  const member = pool.workers.get(worker);
  if (member === undefined) {
    report.warn(`A worker that has left was wrong: ${found}.`, { event: 'banned' });
    return;
  }
  const { name, engine, acceptedAnswers } = member;
  report.warn(
    `${name} (${engine.backend} on ${engine.device}) is banned: ${found}. It had given ${pluralize(acceptedAnswers, 'answer')}.`,
    { event: 'banned', worker: name, ...engine, accepted: acceptedAnswers },
  );
  pool.drop(member, CloseCode.wrongGradient, `${found.charAt(0).toUpperCase()}${found.slice(1)}.`);
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { addressBlock } from './limits/address-block.ts';
import type { BlockRateLimiter } from './limits/block-rate-limiter.ts';
import type { RefusalRateLimiter } from './limits/refusal-rate-limiter.ts';
import { checkToken, type AdmissionRules } from '../pool/admission.ts';
import { isHostAllowed, type HostRule } from './access.ts';

/** Answers a request, or leaves it to `next`. */
export type Routes = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

export interface RouteOptions {
  readonly rules: AdmissionRules;
  /** Of the addresses that have been refused. */
  readonly allowances?: RefusalRateLimiter;
  /** By which names /metrics may be asked for. */
  readonly hostRule: HostRule;
  /** Of /metrics, which are put together anew for each request. */
  readonly budget?: Pick<BlockRateLimiter, 'spend'>;
  readonly workerCount: () => number;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
}

/**
 * What programs ask for: /health says that the coordinator answers and how many workers it has; /metrics is for
 * Prometheus, with the run's token as a bearer token if it has one.
 */
export function healthAndMetricsRoutes({
  rules,
  allowances,
  hostRule,
  budget,
  workerCount,
  metrics,
}: RouteOptions): Routes {
  return (request, response, next) => {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== '/health' && path !== '/metrics') {
      next();
      return;
    }
    const address = request.socket.remoteAddress ?? '';
    const answer = (status: number, contentType: string, body: string): void => {
      response.writeHead(status, { 'Content-Type': contentType, 'Cache-Control': 'no-store' });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      answer(405, 'text/plain', 'Only GET and HEAD.\n');
    } else if (path === '/health') {
      answer(200, 'application/json', `${JSON.stringify({ status: 'ok', workers: workerCount() })}\n`);
    } else if (allowances?.isBlocked(address) === true) {
      answer(429, 'text/plain', 'Too many wrong tokens from there; come back in a minute.\n');
    } else if (!isHostAllowed(request, hostRule)) {
      answer(
        403,
        'text/plain',
        'Ask by an address of this machine, or start the coordinator with a token.\n',
      );
    } else if (!hasValidToken(request, rules)) {
      allowances?.recordRefusal(address);
      response.setHeader('WWW-Authenticate', 'Bearer');
      answer(401, 'text/plain', 'The token of the run, as a bearer token, please.\n');
    } else if (budget?.spend(addressBlock(address)) === false) {
      answer(429, 'text/plain', 'Too many requests from there; come back in some seconds.\n');
    } else {
      metrics().then(
        ({ contentType, body }) => answer(200, contentType, body),
        () => answer(500, 'text/plain', 'The metrics could not be put together.\n'),
      );
    }
  };
}

function hasValidToken({ headers }: IncomingMessage, rules: AdmissionRules): boolean {
  try {
    // The scheme's case does not matter (RFC 9110, 11.1).
    checkToken(/^Bearer +(.*)$/i.exec(headers.authorization ?? '')?.[1], rules);
    return true;
  } catch {
    return false;
  }
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { addressBlock } from './limits/address-block.ts';
import type { BlockRateLimiter } from './limits/block-rate-limiter.ts';
import type { RefusalRateLimiter } from './limits/refusal-rate-limiter.ts';
import { hasValidToken, isHostAllowed, type HostRule } from './access.ts';

/** Answers a request or passes it to `next`. */
export type Routes = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

export interface RouteOptions {
  /** The run's token; without one, /metrics needs a host name that `hostRule` allows. */
  readonly rules: { readonly token?: string | undefined };
  /** Addresses with too many wrong tokens. */
  readonly refusals?: RefusalRateLimiter;
  readonly hostRule: HostRule;
  /** Limit on /metrics, which are computed for each request. */
  readonly budget?: Pick<BlockRateLimiter, 'spend'>;
  readonly workerCount: () => number;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
}

/**
 * Routes for monitoring: /health reports that the coordinator runs and its number of workers; /metrics is for Prometheus
 * and needs the run's token, if there is one, as a bearer token.
 */
export function healthAndMetricsRoutes({
  rules,
  refusals,
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
      answer(405, 'text/plain', 'Only GET and HEAD are allowed.\n');
    } else if (path === '/health') {
      answer(200, 'application/json', `${JSON.stringify({ status: 'ok', workers: workerCount() })}\n`);
    } else if (refusals?.isBlocked(address) === true) {
      answer(429, 'text/plain', 'Too many wrong tokens from your address. Retry in a minute.\n');
    } else if (!isHostAllowed(request, hostRule)) {
      answer(
        403,
        'text/plain',
        'Use an address of this machine in the request, or start the coordinator with a token.\n',
      );
    } else if (!hasValidToken(request, rules.token)) {
      refusals?.recordRefusal(address);
      response.setHeader('WWW-Authenticate', 'Bearer');
      answer(401, 'text/plain', "The request needs the run's token as a bearer token.\n");
    } else if (budget?.spend(addressBlock(address)) === false) {
      answer(429, 'text/plain', 'Too many requests from your address. Retry in some seconds.\n');
    } else {
      metrics().then(
        ({ contentType, body }) => answer(200, contentType, body),
        () => answer(500, 'text/plain', 'The metrics could not be collected.\n'),
      );
    }
  };
}

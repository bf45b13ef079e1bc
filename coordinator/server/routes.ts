import type { IncomingMessage, ServerResponse } from 'node:http';
import { addressBlock } from './limits/address-block.ts';
import type { BlockRateLimiter } from './limits/block-rate-limiter.ts';
import type { RefusalRateLimiter } from './limits/refusal-rate-limiter.ts';
import { hasValidToken, isHostAllowed, type HostRule } from './access.ts';

/** Answers a request. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Finds the answer to requests for a path, which begins with a slash; null if there is none. */
export type Routes = (path: string) => Answer | null;

export interface RouteOptions {
  /** The run's token; without one, /metrics needs a host name that `hostRule` allows. */
  readonly rules: { readonly token?: string | undefined };
  /** Addresses with too many wrong tokens. */
  readonly refusals?: RefusalRateLimiter;
  readonly hostRule: (request: IncomingMessage) => HostRule;
  /** Limit on /metrics, which are computed for each request. */
  readonly budget?: Pick<BlockRateLimiter, 'spend'>;
  readonly workerCount: () => number;
  /** Null while there is no run. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }> | null;
}

/** Time after which a client asks again for figures of a run that has not begun. */
const RETRY_AFTER_SECONDS = 5;

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
  return (path) => {
    if (path === '/health') {
      return (request, response) =>
        send(request, response, {
          contentType: 'application/json',
          body: `${JSON.stringify({ status: 'ok', workers: workerCount() })}\n`,
        });
    }
    return path === '/metrics' ? answerMetrics : null;
  };

  function answerMetrics(request: IncomingMessage, response: ServerResponse): void {
    const address = request.socket.remoteAddress ?? '';
    const refuse = (status: number, sentence: string): void =>
      send(request, response, { status, contentType: 'text/plain', body: sentence });
    if (refusals?.isBlocked(address) === true) {
      refuse(429, 'Too many wrong tokens from your address. Retry in a minute.\n');
    } else if (!isHostAllowed(request, hostRule(request))) {
      refuse(403, 'Use an address of this machine in the request, or start the coordinator with a token.\n');
    } else if (!hasValidToken(request, rules.token)) {
      refusals?.recordRefusal(address);
      response.setHeader('WWW-Authenticate', 'Bearer');
      refuse(401, "The request needs the run's token as a bearer token.\n");
    } else if (budget?.spend(addressBlock(address)) === false) {
      refuse(429, 'Too many requests from your address. Retry in some seconds.\n');
    } else {
      const collected = metrics();
      if (collected === null) {
        response.setHeader('Retry-After', RETRY_AFTER_SECONDS);
        refuse(503, 'No run has begun yet.\n');
        return;
      }
      collected.then(
        (text) => send(request, response, text),
        () => refuse(500, 'The metrics could not be collected.\n'),
      );
    }
  }
}

function send(
  { method }: IncomingMessage,
  response: ServerResponse,
  {
    status = 200,
    contentType,
    body,
  }: { readonly status?: number; readonly contentType: string; readonly body: string },
): void {
  response.writeHead(status, { 'Content-Type': contentType, 'Cache-Control': 'no-store' });
  response.end(method === 'HEAD' ? undefined : body);
}

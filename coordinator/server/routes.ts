import type { IncomingMessage, ServerResponse } from 'node:http';
import { bundlePath, type CodeBundle } from '../../shared/model/custom-code.ts';
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
  /** Whether a run takes workers, also while it waits for them. */
  readonly acceptsWorkers: () => boolean;
  /** Null while there is no run. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }> | null;
  /** Custom code of the run; null if it has none. */
  readonly customCode?: () => Pick<CodeBundle, 'code' | 'bytes'> | null;
}

/** Time after which a client asks again for figures of a run that has not begun. */
const RETRY_AFTER_SECONDS = 5;

/**
 * Routes of a run: /health reports that the coordinator runs and its number of workers; /ready whether workers can join, with 503 if
 * they cannot; /metrics is for Prometheus
 * and needs the run's token, if there is one, as a bearer token; /custom/HASH.js is the code that a person wrote for the run, for
 * tabs and for the people who decide whether to trust it. Only clients with a token are told its hash.
 */
export function runRoutes({
  rules,
  refusals,
  hostRule,
  budget,
  workerCount,
  acceptsWorkers,
  metrics,
  customCode,
}: RouteOptions): Routes {
  return (path) => {
    if (path === '/health') return (request, response) => sendStatus(request, response, 200, 'ok');
    if (path === '/ready') {
      return (request, response) =>
        acceptsWorkers()
          ? sendStatus(request, response, 200, 'ready')
          : sendStatus(request, response, 503, 'no run');
    }
    if (path === '/metrics') return answerMetrics;
    const bundle = path.startsWith('/custom/') ? customCode?.() : null;
    if (bundle == null || path !== `/${bundlePath(bundle.code.hash)}`) return null;
    return (request, response) =>
      send(request, response, { contentType: 'text/javascript;charset=utf-8', body: bundle.bytes });
  };

  function sendStatus(
    request: IncomingMessage,
    response: ServerResponse,
    code: number,
    status: string,
  ): void {
    const body = `${JSON.stringify({ status, workers: workerCount() })}\n`;
    send(request, response, { status: code, contentType: 'application/json', body });
  }

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
  }: { readonly status?: number; readonly contentType: string; readonly body: string | Uint8Array },
): void {
  response.writeHead(status, { 'Content-Type': contentType, 'Cache-Control': 'no-store' });
  response.end(method === 'HEAD' ? undefined : body);
}

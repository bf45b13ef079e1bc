import { createHmac } from 'node:crypto';
import { pause, systemClock, type Clock } from '../../shared/util/clock.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import type { Callback, CallbackContext, CallbackModel } from './callback.ts';
import { checkCount } from './monitor.ts';
import { didYouMean } from '../../shared/util/suggest.ts';

/**
 * Event that a webhook is sent.
 * @example
 * const events: WebhookEvent[] = ['end', 'error'];
 */
export type WebhookEvent = 'begin' | 'epoch' | 'end' | 'error';

/**
 * Options of {@link webhook}.
 * @example
 * const options: WebhookOptions = { events: ['end', 'error'], headers: { authorization: 'Bearer s3cret' } };
 */
export interface WebhookOptions {
  /** Events to send. @default all */
  readonly events?: readonly WebhookEvent[];
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Key of the HMAC-SHA256 of the body, which is sent in hexadecimal as `x-gradcast-signature: sha256=...`. @default none
   */
  readonly secret?: string;
  /** Time for one request. @default 10000 */
  readonly timeoutMs?: number;
  /** Requests after a first one that failed. @default 4 */
  readonly retries?: number;
  /** Time that the end of a run waits for requests. @default 10000 */
  readonly endTimeoutMs?: number;
  /** @default the platform's clock */
  readonly clock?: Clock;
}

const EVENTS: readonly WebhookEvent[] = ['begin', 'epoch', 'end', 'error'];
/** Events that wait for a slow server; the oldest of more are dropped. */
const MAX_PENDING = 100;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;

/**
 * Posts JSON to a URL when a run begins, after each epoch, and when it ends. The run does not wait for the server, but for a while
 * at its end, and goes on whatever the server answers.
 * @throws Error that names an option with a wrong value
 * @example
 * const callbacks = [webhook('https://example.com/hook', { events: ['epoch', 'end'], secret: 's3cret' })];
 */
export function webhook(url: string, options: WebhookOptions = {}): Callback {
  const { events = EVENTS, endTimeoutMs = 10_000, clock = systemClock(globalThis) } = options;
  checkOptions(url, options);
  /** Queues by the model of their run, since a webhook may be used for several runs. */
  const queues = new WeakMap<CallbackModel, WebhookQueue>();

  const send = (event: WebhookEvent, context: CallbackContext, more: object = {}): void => {
    if (!events.includes(event)) return;
    const { epoch, epochs, step, logs, model } = context;
    const queue = queues.get(model) ?? new WebhookQueue(url, { ...options, clock }, context.warn);
    queues.set(model, queue);
    const fields = { event, time: new Date().toISOString(), epoch, epochs, step, logs, ...more };
    queue.add(JSON.stringify(fields));
  };
  const drain = async ({ model }: CallbackContext): Promise<void> => {
    await queues.get(model)?.drain(endTimeoutMs);
    queues.delete(model);
  };

  return {
    name: 'webhook',
    onTrainBegin(context) {
      const { model, isResumed, runDir } = context;
      send('begin', context, { data: model.job.data.name, isResumed, runDir });
    },
    onEpochEnd: (context) => send('epoch', context),
    async onTrainEnd(context) {
      send('end', context, { stopReason: context.stopReason });
      await drain(context);
    },
    async onError(error, context) {
      send('error', context, { error: errorMessage(error) });
      await drain(context);
    },
  };
}

function checkOptions(url: string, options: WebhookOptions): void {
  const { protocol = '', username = '', password = '' } = URL.canParse(url) ? new URL(url) : {};
  // The URL itself may be a secret.
  if (protocol !== 'http:' && protocol !== 'https:') {
    const found = protocol === '' ? 'which it has not' : `not with ${protocol}`;
    throw new Error(`The webhook needs a URL that begins with http:// or https://, ${found}.`);
  }
  if (username !== '' || password !== '')
    throw new Error("The webhook's URL has a name or password. Send them in the header authorization.");
  const unknown = options.events?.find((event) => !EVENTS.includes(event));
  if (unknown !== undefined)
    throw new Error(
      `There is no event ${unknown} of webhooks.${didYouMean(unknown, EVENTS)} Use ${EVENTS.join(', ')}.`,
    );
  const { timeoutMs = 1, retries = 0, endTimeoutMs = 0 } = options;
  checkCount('webhook', 'timeoutMs', timeoutMs, 1);
  checkCount('webhook', 'retries', retries);
  checkCount('webhook', 'endTimeoutMs', endTimeoutMs);
  try {
    new Headers(options.headers);
  } catch (error) {
    throw new Error(`A header of the webhook is wrong: ${errorMessage(error)}.`, { cause: error });
  }
}

/** Sends the requests of a run in their order, one at a time, in the background. */
class WebhookQueue {
  readonly #url: string;
  readonly #options: WebhookOptions & { readonly clock: Clock };
  readonly #warn: (line: string) => void;
  readonly #pending: string[] = [];
  readonly #cancel = new AbortController();
  #sending: Promise<void> | null = null;
  /** Whether the last event was not delivered, of which the person knows. */
  #hasFailed = false;

  constructor(
    url: string,
    options: WebhookOptions & { readonly clock: Clock },
    warn: (line: string) => void,
  ) {
    this.#url = url;
    this.#options = options;
    this.#warn = warn;
  }

  add(body: string): void {
    this.#pending.push(body);
    if (this.#pending.length > MAX_PENDING) this.#pending.shift();
    this.#sending ??= this.#sendAll();
  }

  /** Waits until all is sent. After the time is over, the rest is dropped. */
  async drain(timeoutMs: number): Promise<void> {
    const cancelTimer = this.#options.clock.after(timeoutMs, () => this.#cancel.abort());
    await this.#sending;
    cancelTimer();
  }

  async #sendAll(): Promise<void> {
    for (let body = this.#pending.shift(); body !== undefined; body = this.#pending.shift()) {
      const failure = await this.#send(body);
      if (failure !== null && !this.#hasFailed)
        this.#warn(`The webhook ${new URL(this.#url).host} was not reached: ${failure}. The run goes on.`);
      this.#hasFailed = failure !== null;
    }
    // At once, or an event that is added before a later reaction to the promise would wait for the next one.
    this.#sending = null;
  }

  /** @returns part of a sentence that says why the event was not delivered; null if it was */
  async #send(body: string): Promise<string | null> {
    const { retries = 4, clock } = this.#options;
    for (let attempt = 0, delayMs = FIRST_RETRY_MS; ; attempt++, delayMs *= 2) {
      const { failure, isFinal } = await this.#post(body);
      if (failure === null || isFinal || attempt === retries || this.#cancel.signal.aborted) return failure;
      await pause(clock, Math.min(delayMs, MAX_RETRY_MS), this.#cancel.signal);
    }
  }

  /** One request. @returns why it failed, and whether another one would fail too */
  async #post(body: string): Promise<{ readonly failure: string | null; readonly isFinal: boolean }> {
    const { headers, secret, timeoutMs = 10_000, clock } = this.#options;
    if (this.#cancel.signal.aborted) return { failure: 'the run has ended', isFinal: true };
    const timeout = new AbortController();
    const cancelTimer = clock.after(timeoutMs, () => timeout.abort());
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: {
          ...headers,
          'content-type': 'application/json',
          ...(secret === undefined ? {} : { 'x-gradcast-signature': signatureOf(body, secret) }),
        },
        body,
        // A redirect would send headers and secrets to another place.
        redirect: 'manual',
        signal: AbortSignal.any([timeout.signal, this.#cancel.signal]),
      });
      await response.body?.cancel();
      const { ok, status } = response;
      const isFinal = status < 500 && status !== 408 && status !== 429;
      return { failure: ok ? null : `it answered with status ${status}`, isFinal };
    } catch (error) {
      if (timeout.signal.aborted) return { failure: `no answer came in ${timeoutMs} ms`, isFinal: false };
      const { cause = error } = error as Error;
      return { failure: errorMessage(cause), isFinal: false };
    } finally {
      cancelTimer();
    }
  }
}

/**
 * Signature of a webhook's body, to compare with the header x-gradcast-signature.
 * @example
 * signatureOf('{}', 's3cret'); // 'sha256=...'
 */
export const signatureOf = (body: string, secret: string): string =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

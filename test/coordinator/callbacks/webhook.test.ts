import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../../shared/util/clock.ts';
import type { Callback, CallbackContext } from '../../../coordinator/callbacks/callback.ts';
import { webhook, type WebhookOptions } from '../../../coordinator/callbacks/webhook.ts';
import { playHistory } from '../../support/callback-run.ts';

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

let server: Server | null = null;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === null ? resolve(null) : server.close(resolve)));
  server = null;
});

/**
 * A server that answers each request with the next status, 200 after the last; null for no answer.
 * @param onRequest called with the number of requests so far
 */
async function listen(
  statuses: (number | null)[] = [],
  onRequest: (count: number) => void = () => undefined,
): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => (text += part));
    request.on('end', () => {
      received.push({ headers: request.headers, text, json: JSON.parse(text) as Received['json'] });
      const status = statuses.length === 0 ? 200 : (statuses.shift() ?? null);
      if (status !== null) response.writeHead(status, { location: '/elsewhere' }).end('thanks');
      onRequest(received.length);
    });
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, received };
}

const history = { val_loss: [0.5, 0.25] };
const TIMEOUT_MS = 10_001;
const END_TIMEOUT_MS = 20_002;

/** Clock whose timers of requests and of the end are due when a test says so; those between requests are due at once. */
function webhookClock() {
  const delays: number[] = [];
  const timers = new Set<{ delayMs: number; callback: () => void }>();
  const clock: Clock = {
    now: () => 0,
    after(delayMs, callback) {
      const timer = { delayMs, callback };
      if (delayMs === TIMEOUT_MS || delayMs === END_TIMEOUT_MS) timers.add(timer);
      else {
        delays.push(delayMs);
        setImmediate(callback);
      }
      return () => void timers.delete(timer);
    },
  };
  const fire = (delayMs: number): void => {
    for (const timer of timers) if (timer.delayMs === delayMs) timer.callback();
  };
  return { clock, delays, fire };
}

const play = (url: string, options: WebhookOptions, clock: Clock = webhookClock().clock) =>
  playHistory(
    [webhook(url, { timeoutMs: TIMEOUT_MS, endTimeoutMs: END_TIMEOUT_MS, ...options, clock })],
    history,
  );

/** Contexts of the epochs of a run. */
async function contexts(): Promise<CallbackContext[]> {
  const found: CallbackContext[] = [];
  await playHistory([{ onEpochEnd: (context) => void found.push(context) }], history);
  return found;
}

describe('a webhook', () => {
  it('is told when a run begins, after each epoch, and at its end', async () => {
    const { url, received } = await listen();
    const { lines } = await play(url, { headers: { 'x-team': 'a' } });
    expect(received.map(({ json: { event, epoch, step } }) => [event, epoch, step])).toEqual([
      ['begin', 1, 0],
      ['epoch', 1, 2],
      ['epoch', 2, 4],
      ['end', 2, 4],
    ]);
    expect(received[1]!.json).toMatchObject({ epochs: 2, logs: { val_loss: 0.5 } });
    expect(received[3]!.json).toMatchObject({ stopReason: null });
    expect(received[0]!.headers).toMatchObject({ 'content-type': 'application/json', 'x-team': 'a' });
    expect(lines).toEqual([]);
  });

  it('is told only of chosen events, with a signature of the body', async () => {
    const { url, received } = await listen();
    await play(url, { events: ['end'], secret: 's3cret' });
    expect(received).toHaveLength(1);
    const [{ text, headers }] = received as [Received];
    const expected = createHmac('sha256', 's3cret').update(text).digest('hex');
    expect(headers['x-gradcast-signature']).toBe(`sha256=${expected}`);
  });

  it('is told of the error that ended a run', async () => {
    const { url, received } = await listen();
    const callback = webhook(url, { events: ['error'] });
    const { list } = await playHistory([callback], history);
    await list.fail(new Error('the loss is NaN'));
    expect(received.map(({ json: { event, error } }) => [event, error])).toEqual([
      ['error', 'the loss is NaN'],
    ]);
  });

  it('is tried again after 0.5, 1 and 2 seconds, and gets events in their order', async () => {
    const { url, received } = await listen([500, 429, 503]);
    const { clock, delays } = webhookClock();
    const { lines } = await play(url, {}, clock);
    expect(delays).toEqual([500, 1_000, 2_000]);
    expect(received.map(({ json: { event } }) => event)).toEqual([
      ...['begin', 'begin', 'begin', 'begin'],
      ...['epoch', 'epoch', 'end'],
    ]);
    expect(lines).toEqual([]);
  });

  it('is not tried again after a status that will not change, and told of a redirect', async () => {
    const { url, received } = await listen([404, 302]);
    const { lines, epochs } = await play(url, {});
    expect(received).toHaveLength(4);
    expect(epochs).toBe(2);
    expect(lines).toEqual([
      `! The webhook ${new URL(url).host} was not reached: it answered with status 404. The run goes on.`,
    ]);
  });

  it('that never answers is tried again after a timeout, and does not keep the run from its end', async () => {
    const { clock, fire } = webhookClock();
    const { url, received } = await listen(Array<null>(20).fill(null), (count) =>
      fire(count < 3 ? TIMEOUT_MS : END_TIMEOUT_MS),
    );
    const { epochs, lines } = await play(url, { retries: 1 }, clock);
    expect(epochs).toBe(2);
    // The first event twice; the second is given up, with all others, when the run has waited long enough at its end.
    expect(received.map(({ json: { event } }) => event)).toEqual(['begin', 'begin', 'epoch']);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/was not reached: no answer came in 10001 ms/);
  });

  it('that does not exist costs a warning', async () => {
    const { url } = await listen();
    server!.close();
    const { epochs, lines } = await play(url, { retries: 1 });
    expect(epochs).toBe(2);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/was not reached: .*ECONNREFUSED/);
  });

  it('may be used for one run after another, whatever became of the earlier one', async () => {
    const { clock, fire } = webhookClock();
    const { url, received } = await listen([null], (count) => fire(count === 1 ? END_TIMEOUT_MS : 0));
    const timeouts = { timeoutMs: TIMEOUT_MS, endTimeoutMs: END_TIMEOUT_MS, clock };
    const callback = webhook(url, { ...timeouts, events: ['end'] });
    const first = await playHistory([callback], history);
    expect(first.lines).toHaveLength(1);
    const second = await playHistory([callback], history);
    expect(received).toHaveLength(2);
    expect(second.lines).toEqual([]);
  });

  it.each(Array.from({ length: 12 }, (_, turns) => [turns]))(
    'sends an event that is added while the last request ends (%i turns after it)',
    async (turns) => {
      const { url, received } = await listen();
      const [context] = await contexts();
      let isAdded = false;
      const after = async (): Promise<void> => {
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        await callback.onEpochEnd?.(context!);
      };
      const callback: Callback = webhook(url, {
        events: ['epoch'],
        timeoutMs: TIMEOUT_MS,
        clock: {
          now: () => 0,
          after: (delayMs) => () => {
            if (isAdded || delayMs !== TIMEOUT_MS) return;
            isAdded = true;
            void after();
          },
        },
      });
      await callback.onEpochEnd?.(context!);
      await expect.poll(() => isAdded).toBe(true);
      await expect.poll(() => received.length).toBe(2);
    },
  );

  it('has its options checked before the run, and is not printed', () => {
    expect(() => webhook('example.com/s3cret')).toThrow(
      /^The webhook needs a URL that begins with http:\/\/ or https:\/\/, which it has not\.$/,
    );
    expect(() => webhook('ftp://example.com/s3cret')).toThrow(/not with ftp:\.$/);
    expect(() => webhook('http://ann:secret@example.com')).toThrow('has a name or password');
    expect(() => webhook('http://a/', { events: ['start' as 'begin'] })).toThrow('There is no event start');
    expect(() => webhook('http://a/', { events: ['epochs' as 'epoch'] })).toThrow("Did you mean 'epoch'?");
    expect(() => webhook('http://a/', { headers: { 'a b': 'c' } })).toThrow(
      'A header of the webhook is wrong',
    );
    expect(() => webhook('http://a/', { retries: -1 })).toThrow('retries of webhook');
  });
});

/**
 * A worker as a library for Node: joins a coordinator and computes gradients for it.
 *
 * @example
 * ```js
 * import { runWorker } from 'gradcast/worker';
 *
 * const reason = await runWorker({
 *   link: 'http://192.168.1.20:2718/#s3cret',
 *   onEvent: (event) => console.log(event),
 * });
 * console.log(reason);
 * ```
 * @packageDocumentation
 */
import { fileURLToPath } from 'node:url';
import { registerCodec } from '../shared/codec/registry.ts';
import type { Codec } from '../shared/codec/codec.ts';
import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { Engine } from '../shared/engine/engine.ts';
import { invalidLinkMessage, parseCoordinatorLink } from '../shared/protocol/coordinator-link.ts';
import type { WorkerProcessMessage } from './processes/messages.ts';
import { runNodeWorker } from './run-node-worker.ts';

export type { Codec } from '../shared/codec/codec.ts';
export type { EngineChoice } from '../shared/engine/engine-choice.ts';
export type { Engine, GradientComputer } from '../shared/engine/engine.ts';

/**
 * Options of {@link runWorker}.
 * @example
 * ```ts
 * const options: WorkerOptions = { link: 'lab-7:2718', token: 's3cret', engine: 'wasm' };
 * ```
 */
export interface WorkerOptions {
  /** Link to the coordinator: the one that it prints, http(s)://, ws(s):// or host:port. */
  readonly link: string;
  /** Token of the coordinator. @default the token of the link, if it has one */
  readonly token?: string | undefined;
  /** SHA-256 of the one certificate to trust, as the coordinator prints it; a link with another one is refused. @default that of the link, else certificates that Node trusts */
  readonly fingerprint?: string | undefined;
  /**
   * SHA-256 of the code of layers, losses and metrics that the worker runs if a run names it. @default none: runs with code of a
   * person are declined
   */
  readonly trust?: readonly string[] | undefined;
  /** Name of the worker in the run. @default the name of this machine */
  readonly name?: string | undefined;
  /**
   * Engine that computes, each in a thread: 'auto' for WebGPU if a measurement has preferred it, else native TensorFlow if it is
   * installed, else WebAssembly; 'webgpu' for a GPU of any vendor, after `gradcast engine install --webgpu`, which GRADCAST_GPU names
   * and of which GRADCAST_GPU_POWER=low prefers the frugal one; or one of your own, in this thread.
   * @default 'auto'
   */
  readonly engine?: EngineChoice | Engine | undefined;
  /** Codecs of your own, which the coordinator has too. @default none */
  readonly codecs?: readonly Codec[] | undefined;
  /** Aborted to leave the run; the current shard is finished first. @default never */
  readonly signal?: AbortSignal | undefined;
  /** Receives the worker's progress. @default none */
  readonly onEvent?: ((event: WorkerEvent) => void) | undefined;
  /** Receives lines about problems of this worker. @default none */
  readonly onProblem?: ((line: string) => void) | undefined;
}

/**
 * Progress of a worker.
 * @example
 * ```ts
 * const onEvent = (event: WorkerEvent): void => {
 *   if (event.type === 'computed') console.log(`step ${event.step}: ${event.samples} samples`);
 * };
 * ```
 */
export type WorkerEvent =
  /** The engine is open. */
  | { readonly type: 'engine'; readonly description: string }
  /** The worker has loaded the job. */
  | { readonly type: 'joined'; readonly dataset: string; readonly batchSize: number }
  /** The worker has computed a gradient. */
  | { readonly type: 'computed'; readonly step: number; readonly samples: number }
  /** Steps are faster without the worker, so that it has no work; or it takes part again. */
  | { readonly type: 'standby'; readonly onStandby: boolean; readonly reason: string }
  /** The worker has no connection and retries after a pause. */
  | { readonly type: 'waiting'; readonly reason: string; readonly retryInMs: number };

const NEVER = new AbortController().signal;

/**
 * Runs one worker, whose engine computes in a thread of its own, until the run is over or the signal is aborted. It
 * reconnects whenever it loses the connection.
 * @returns why it ended, in a sentence
 * @throws Error with a sentence if no engine can be opened, and one with the name RefusedError if the coordinator rejects
 *   the worker for good
 * @remarks A native engine that does not stop within two seconds of leaving ends the whole process: native code cannot be
 * interrupted in any other way. A GPU that does not answer by then is left alone; the process then ends as by Ctrl-C.
 * @example
 * ```ts
 * const leave = new AbortController();
 * process.once('SIGINT', () => leave.abort());
 * await runWorker({ link: 'lab-7:2718', token: 's3cret', signal: leave.signal });
 * ```
 */
export function runWorker(options: WorkerOptions): Promise<string> {
  const { link, trust, name, engine = 'auto', signal = NEVER, onEvent, onProblem } = options;
  options.codecs?.forEach(registerCodec);
  const parsed = parseCoordinatorLink(link);
  if (parsed === null) return Promise.reject(new Error(invalidLinkMessage(link)));
  const reported = new Set<string>();
  const reportOnce = (line: string): void => {
    if (reported.has(line)) return;
    reported.add(line);
    onProblem?.(line);
  };
  return runNodeWorker({
    url: parsed.url,
    token: options.token ?? parsed.token,
    fingerprint: parsed.fingerprint,
    fingerprints: options.fingerprint === undefined ? undefined : [options.fingerprint],
    trust,
    name,
    engine,
    threadFile: fileURLToPath(new URL('./thread/engine-thread.js', import.meta.url)),
    signal,
    onMessage(message) {
      if (message.type === 'waiting' && message.advice !== undefined) reportOnce(message.advice);
      const event = toEvent(message);
      if (event !== null) onEvent?.(event);
    },
    note: (line) => onProblem?.(line),
  });
}

/** @returns null for the end, which the promise reports */
function toEvent(message: WorkerProcessMessage): WorkerEvent | null {
  switch (message.type) {
    case 'engine':
      return { type: 'engine', description: message.text };
    case 'joined':
      return { type: 'joined', dataset: message.data, batchSize: message.batchSize };
    case 'computed':
      return { type: 'computed', step: message.step, samples: message.samples };
    case 'standby':
      return message;
    case 'waiting':
      return { type: 'waiting', reason: message.reason, retryInMs: message.waitMs };
    case 'ended':
    case 'refused':
      return null;
  }
}

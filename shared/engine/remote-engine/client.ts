import { layoutOf } from '../../model/layout.ts';
import type { Job } from '../../model/job.ts';
import type { Engine } from '../engine.ts';
import type {
  CallId,
  EngineAnswers,
  EngineNotification,
  EngineRequest,
  FromEngine,
  JobId,
  Port,
} from './messages.ts';
import { createRemoteGradientComputer, type RemoteGradientComputer } from './remote-gradient-computer.ts';
import type { AllocateShared } from './weights-channel.ts';

export interface RemoteEngineOptions {
  readonly port: Port;
  /** Engine that the server is to open. */
  readonly choice: unknown;
  /** Null if there is no shared memory, or the engine cannot read it. */
  readonly allocateShared: AllocateShared | null;
  /** Receives the lines that the engine logs. */
  readonly note: (line: string) => void;
}

/** Engine that computes in another thread, so that this one always has time for the socket. */
export interface RemoteEngine extends Engine {
  /** Why no better engine was taken. */
  readonly why: string;
  /** Resolves when the thread ends or its device is gone, unless the engine was closed before. */
  readonly lost: Promise<EngineLostError>;
  load(job: Job, module?: string): Promise<RemoteGradientComputer>;
  /** Collects garbage in the engine's thread, at a time when no answer is awaited. */
  collectGarbage(): void;
  /** Ends the thread and rejects all pending calls. */
  close(): void;
}

/** The thread of an engine has ended, or its device is gone, without having been closed: a crash, or no memory. */
export class EngineLostError extends Error {
  readonly reason: string;

  constructor(reason: string) {
    super(`The engine was lost: ${reason}`);
    this.name = 'EngineLostError';
    this.reason = reason;
  }
}

/**
 * Opens an engine in the thread behind a port.
 * @throws Error with a sentence if the engine cannot be opened; EngineLostError if the thread ends meanwhile. Then the
 *   port is ended.
 */
export async function openRemoteEngine(options: RemoteEngineOptions): Promise<RemoteEngine> {
  const { port, choice, allocateShared, note } = options;
  const connection = new EngineConnection(port, note);
  let nextJob = 0;
  try {
    const { info, why } = await connection.request({ type: 'open', choice });
    return {
      info,
      why,
      lost: connection.lost,
      async load(job, module) {
        const jobId = nextJob++ as JobId;
        const { supportsFactors } = await connection.request({ type: 'load', jobId, job, module });
        const { length } = layoutOf(job.layout);
        return createRemoteGradientComputer({ connection, jobId, length, supportsFactors, allocateShared });
      },
      collectGarbage: () => connection.notify({ type: 'collectGarbage' }),
      close: () => connection.close(),
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}

interface PendingCall {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
  readonly onBucket: () => void;
}

/** Requests to the engine's thread and their answers. Once the thread has ended every request fails, new ones too. */
class EngineConnection {
  readonly lost: Promise<EngineLostError>;
  readonly #port: Port;
  readonly #note: (line: string) => void;
  readonly #pending = new Map<CallId, PendingCall>();
  #nextCall = 0;
  #ended: Error | null = null;
  #resolveLost: (error: EngineLostError) => void = () => undefined;

  constructor(port: Port, note: (line: string) => void) {
    this.#port = port;
    this.#note = note;
    this.lost = new Promise((resolve) => (this.#resolveLost = resolve));
    port.listen(
      (message) => this.#onMessage(message),
      (reason) => this.#lose(reason),
    );
  }

  /**
   * @param onBucket called when the gradient's bucket is complete
   * @returns the answer; rejected if the engine fails the request, and with EngineLostError or another Error if the thread ends
   * @throws the port's error, at once, if the message cannot be posted
   */
  request<Type extends EngineRequest['type']>(
    request: Extract<EngineRequest, { type: Type }>,
    transfer: ArrayBuffer[] = [],
    onBucket: () => void = () => undefined,
  ): Promise<EngineAnswers[Type]> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const call = this.#nextCall++ as CallId;
    this.#port.post({ type: 'request', call, request }, transfer);
    return new Promise((resolve, reject) => this.#pending.set(call, { resolve, reject, onBucket }));
  }

  notify(message: EngineNotification, transfer: ArrayBuffer[] = []): void {
    if (this.#ended === null) this.#port.post(message, transfer);
  }

  close(): void {
    this.#end(new Error('The engine is closed.'));
  }

  #onMessage(message: FromEngine): void {
    switch (message.type) {
      case 'answer':
        this.#remove(message.call)?.resolve(message.answer as never);
        return;
      case 'failed':
        this.#remove(message.call)?.reject(new Error(message.reason));
        return;
      case 'bucket':
        this.#pending.get(message.call)?.onBucket();
        return;
      case 'note':
        this.#note(message.line);
        return;
      case 'lost':
        this.#lose(message.reason);
        return;
    }
  }

  #remove(call: CallId): PendingCall | undefined {
    const pending = this.#pending.get(call);
    this.#pending.delete(call);
    return pending;
  }

  #lose(reason: string): void {
    if (this.#ended !== null) return;
    const error = new EngineLostError(reason);
    // Before calls are rejected: their callers look whether the engine was lost.
    this.#resolveLost(error);
    this.#end(error);
  }

  #end(error: Error): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    this.#port.end();
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

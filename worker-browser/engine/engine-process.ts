import type { EngineInfo } from '../../shared/protocol/messages.ts';
import type {
  EngineResponses,
  BackendName,
  FromEngine,
  EngineRequest,
  EngineNotification,
  ToEngine,
} from './messages.ts';

/** What an engine runs in: a Web Worker. */
export interface EngineWorker {
  readonly post: (message: ToEngine, transfer: readonly ArrayBuffer[]) => void;
  /** Ends it, whatever it is at. */
  readonly end: () => void;
  readonly listen: (onMessage: (message: FromEngine) => void, onBroken: (reason: string) => void) => void;
}

/** An engine in a Web Worker, seen from outside. */
export class EngineProcess {
  readonly #worker: EngineWorker;
  readonly #pending = new Map<
    number,
    { readonly resolve: (answer: never) => void; readonly reject: (error: Error) => void }
  >();
  #nextId = 0;
  #ended: Error | null = null;
  #info: EngineInfo | null = null;
  /** Settles with the reason when the engine can compute no more, without having been asked to end. */
  readonly lost: Promise<string>;
  #resolveLost: (reason: string) => void = () => undefined;

  private constructor(worker: EngineWorker) {
    this.#worker = worker;
    this.lost = new Promise((resolve) => (this.#resolveLost = resolve));
    worker.listen(
      (message) => this.#onMessage(message),
      (reason) => this.#fail(reason),
    );
  }

  /** @throws Error with a sentence if this browser cannot have the backend */
  static async open(worker: EngineWorker, backend: BackendName): Promise<EngineProcess> {
    const process = new EngineProcess(worker);
    try {
      process.#info = await process.request({ type: 'open', backend });
      return process;
    } catch (error) {
      process.end();
      throw error;
    }
  }

  get info(): EngineInfo {
    if (this.#info === null) throw new Error('The engine is not open.');
    return this.#info;
  }

  request<Type extends EngineRequest['type']>(
    question: Extract<EngineRequest, { type: Type }>,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<EngineResponses[Type]> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.post({ type: 'question', id, question }, transfer);
    });
  }

  notify(message: EngineNotification): void {
    if (this.#ended === null) this.#worker.post(message, []);
  }

  /** Ends it, whatever it is at. */
  end(): void {
    this.#stop(new Error('The engine was closed.'));
  }

  #onMessage(message: FromEngine): void {
    if (message.type === 'lost') {
      this.#fail(message.reason);
      return;
    }
    const waiting = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.type === 'answer') waiting?.resolve(message.answer as never);
    else waiting?.reject(new Error(message.reason));
  }

  #fail(reason: string): void {
    if (this.#ended !== null) return;
    this.#stop(new Error(`The engine is lost: ${reason}`));
    this.#resolveLost(reason);
  }

  #stop(error: Error): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    this.#worker.end();
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

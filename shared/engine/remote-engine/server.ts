import type { Shard } from '../../data/shard.ts';
import { errorMessage } from '../../util/error-message.ts';
import type { Engine, GradientComputer } from '../engine.ts';
import {
  isTransferable,
  type CallId,
  type EngineAnswers,
  type EngineNotification,
  type EngineRequest,
  type FromEngine,
  type JobId,
  type ShardReference,
  type ToEngine,
} from './messages.ts';

/** Engine that a server has opened. */
export interface ServedEngine {
  readonly engine: Engine;
  /** Why no better engine was taken. */
  readonly why: string;
  /** Registers a callback for the loss of the device. */
  readonly onLost?: (callback: (reason: string) => void) => void;
}

export interface ServerOptions<Choice> {
  readonly post: (message: FromEngine, transfer: ArrayBuffer[]) => void;
  /** @throws Error with a sentence if the engine cannot be opened */
  readonly open: (choice: Choice, note: (line: string) => void) => Promise<ServedEngine>;
  readonly collectGarbage?: () => void;
}

interface LoadedJob {
  readonly computer: GradientComputer;
  sharedBuffer: Float32Array | null;
  shard: { readonly number: number; readonly samples: Shard } | null;
  /** Failure of the last setWeights; answers are rejected with it until weights are set. */
  weightsError: Error | null;
}

/**
 * Serves an engine to the thread that created this one, one message after the other.
 * @returns a function that takes the messages
 */
export function serveEngine<Choice>(options: ServerOptions<Choice>): (message: ToEngine) => void {
  const server = new EngineServer(options);
  let last = Promise.resolve();
  return (message) => {
    last = last.then(() => server.handle(message));
  };
}

class EngineServer<Choice> {
  readonly #options: ServerOptions<Choice>;
  readonly #jobs = new Map<JobId, LoadedJob>();
  #engine: Engine | null = null;

  constructor(options: ServerOptions<Choice>) {
    this.#options = options;
  }

  async handle(message: ToEngine): Promise<void> {
    const { post } = this.#options;
    try {
      if (message.type === 'request') await this.#respond(message.call, message.request);
      else this.#perform(message);
    } catch (error) {
      const reason = errorMessage(error);
      if (message.type === 'request') post({ type: 'failed', call: message.call, reason }, []);
      else post({ type: 'note', line: reason }, []);
    }
  }

  #perform(message: EngineNotification): void {
    switch (message.type) {
      case 'setWeights': {
        const job = this.#find(message.jobId);
        job.weightsError = null;
        try {
          job.computer.setWeights(message.weights);
        } catch (error) {
          job.weightsError = error instanceof Error ? error : new Error(String(error));
        }
        return;
      }
      case 'prepare': {
        const job = this.#find(message.jobId);
        job.computer.prepare(message.step, resolveShard(job, message.shard));
        return;
      }
      case 'dispose':
        this.#jobs.get(message.jobId)?.computer.dispose();
        this.#jobs.delete(message.jobId);
        return;
      case 'collectGarbage':
        this.#options.collectGarbage?.();
        return;
    }
  }

  async #respond(call: CallId, request: EngineRequest): Promise<void> {
    const { post } = this.#options;
    const answer = (answer: EngineAnswers[keyof EngineAnswers], transfer: ArrayBuffer[] = []): void =>
      post({ type: 'answer', call, answer }, transfer);
    switch (request.type) {
      case 'open':
        answer(await this.#open(request.choice as Choice));
        return;
      case 'load':
        answer(await this.#load(request));
        return;
      case 'gradient': {
        const gradient = await this.#gradient(request, () => post({ type: 'bucket', call }, []));
        answer(gradient, gradient.buffer === null ? [] : [gradient.buffer.buffer]);
        return;
      }
      case 'evaluate': {
        const job = this.#find(request.jobId);
        const samples = resolveShard(job, request.shard);
        answer(await readyComputer(job).evaluate(samples));
        return;
      }
      case 'predict': {
        const computer = readyComputer(this.#find(request.jobId));
        answer(await computer.predict(request.inputs, request.samples, request.output));
        return;
      }
    }
  }

  async #open(choice: Choice): Promise<EngineAnswers['open']> {
    const { open, post } = this.#options;
    const { engine, why, onLost } = await open(choice, (line) => post({ type: 'note', line }, []));
    onLost?.((reason) => post({ type: 'lost', reason }, []));
    this.#engine = engine;
    return { info: engine.info, why };
  }

  async #load({ jobId, job }: Extract<EngineRequest, { type: 'load' }>): Promise<EngineAnswers['load']> {
    if (this.#engine === null) throw new Error('The engine is not open.');
    const computer = await this.#engine.load(job);
    this.#jobs.set(jobId, { computer, sharedBuffer: null, shard: null, weightsError: null });
    return { supportsFactors: computer.supportsFactors === true };
  }

  async #gradient(
    request: Extract<EngineRequest, { type: 'gradient' }>,
    onReady: () => void,
  ): Promise<EngineAnswers['gradient']> {
    const { jobId, step, shard, bucketOffset, isFactored } = request;
    const job = this.#find(jobId);
    const buffer = request.buffer ?? job.sharedBuffer;
    if (buffer === null) throw new Error('The engine has no buffer for the gradient.');
    const transferred = isTransferable(buffer) ? buffer : null;
    if (transferred === null) job.sharedBuffer = buffer;
    const samples = resolveShard(job, shard);
    const bucket = bucketOffset === null ? undefined : { offset: bucketOffset, onReady };
    const result = await readyComputer(job).gradient(step, samples, buffer, bucket, isFactored);
    return { result, buffer: transferred };
  }

  #find(jobId: JobId): LoadedJob {
    const job = this.#jobs.get(jobId);
    if (job === undefined) throw new Error('This job is not loaded.');
    return job;
  }
}

/** @throws Error if the last setWeights failed */
function readyComputer({ computer, weightsError }: LoadedJob): GradientComputer {
  if (weightsError !== null) throw weightsError;
  return computer;
}

/** @returns the same object for the same shard: a GradientComputer recognizes the shard that it has prepared by it */
function resolveShard(job: LoadedJob, { number, samples }: ShardReference): Shard {
  if (samples !== null) job.shard = { number, samples };
  if (job.shard?.number !== number) throw new Error('The samples of this shard have not arrived.');
  return job.shard.samples;
}

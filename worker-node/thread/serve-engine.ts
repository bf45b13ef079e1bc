import type { Shard } from '../../shared/data/shard.ts';
import type { Engine, GradientComputer } from '../../shared/engine/engine.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import type { FromEngine, SentShard, ToEngine, JobId } from './messages.ts';

interface LoadedModel {
  readonly computer: GradientComputer;
  buffer: Float32Array | null;
  shard: { readonly number: number; readonly samples: Shard } | null;
  /** Why there are no weights to compute with; answers say so until there are. */
  weightsError: Error | null;
}

/**
 * Does what messages ask for, one after the other.
 * @returns takes the messages
 */
export function serveEngine(
  engine: Engine,
  post: (message: FromEngine, handedOver?: ArrayBuffer[]) => void,
  collectGarbage: () => void,
): (message: ToEngine) => void {
  const served = new Map<JobId, LoadedModel>();

  const find = (trainer: JobId): LoadedModel => {
    const found = served.get(trainer);
    if (found === undefined) throw new Error('This job is not loaded.');
    return found;
  };

  /** @throws Error if its weights could not be set */
  const sound = ({ computer, weightsError }: LoadedModel): GradientComputer => {
    if (weightsError !== null) throw weightsError;
    return computer;
  };

  const perform = async (message: ToEngine): Promise<void> => {
    switch (message.type) {
      case 'load': {
        const computer = await engine.load(message.job);
        served.set(message.trainer, { computer, buffer: null, shard: null, weightsError: null });
        post({ type: 'loaded', call: message.call, givesFactors: computer.supportsFactors === true });
        return;
      }
      case 'setWeights': {
        const found = find(message.trainer);
        found.weightsError = null;
        try {
          found.computer.setWeights(message.weights, message.from);
        } catch (error) {
          found.weightsError = error instanceof Error ? error : new Error(String(error));
        }
        return;
      }
      case 'prepare': {
        const found = find(message.trainer);
        found.computer.prepare(message.step, resolveShard(found, message.shard));
        return;
      }
      case 'gradient': {
        const found = find(message.trainer);
        found.buffer = message.room ?? found.buffer;
        if (found.buffer === null) throw new Error('There is no room for the gradient.');
        const samples = resolveShard(found, message.shard);
        const { step, call, tailFrom, factored } = message;
        const onReady = (): void => post({ type: 'tail', call });
        const tail = tailFrom === null ? undefined : { offset: tailFrom, onReady };
        const result = await sound(found).gradient(step, samples, found.buffer, tail, factored);
        post({ type: 'computed', call, result });
        return;
      }
      case 'evaluate': {
        const found = find(message.trainer);
        const samples = resolveShard(found, message.shard);
        const result = await sound(found).evaluate(samples);
        post({ type: 'computed', call: message.call, result });
        return;
      }
      case 'predict': {
        const trainer = sound(find(message.trainer));
        const probabilities = await trainer.predict(message.images, message.samples);
        post({ type: 'predicted', call: message.call, probabilities });
        return;
      }
      case 'dispose': {
        served.get(message.trainer)?.computer.dispose();
        served.delete(message.trainer);
        return;
      }
      case 'collectGarbage': {
        collectGarbage();
        return;
      }
    }
  };

  const attempt = async (message: ToEngine): Promise<void> => {
    try {
      await perform(message);
    } catch (error) {
      const reason = errorMessage(error);
      if ('call' in message) post({ type: 'failed', call: message.call, reason });
      else post({ type: 'note', line: reason });
    }
  };

  let before: Promise<void> = Promise.resolve();
  return (message) => {
    before = before.then(() => attempt(message));
  };
}

/** The same object for the same shard, by which a trainer knows what it has prepared. */
function resolveShard(served: LoadedModel, { number, samples }: SentShard): Shard {
  if (samples !== null) served.shard = { number, samples };
  if (served.shard?.number !== number) throw new Error('The samples of this shard have not come.');
  return served.shard.samples;
}

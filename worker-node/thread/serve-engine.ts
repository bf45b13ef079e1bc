import type { Shard } from '../../shared/data/shard.ts';
import type { Engine, Trainer } from '../../shared/engine/engine.ts';
import { messageOf } from '../../shared/error-text.ts';
import type { FromEngine, SentShard, ToEngine, TrainerId } from './messages.ts';

interface Served {
  readonly trainer: Trainer;
  room: Float32Array | null;
  shard: { readonly number: number; readonly samples: Shard } | null;
  /** Why there are no weights to compute with; answers say so until there are. */
  trouble: Error | null;
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
  const served = new Map<TrainerId, Served>();

  const find = (trainer: TrainerId): Served => {
    const found = served.get(trainer);
    if (found === undefined) throw new Error('This job is not loaded.');
    return found;
  };

  /** @throws Error if its weights could not be set */
  const sound = ({ trainer, trouble }: Served): Trainer => {
    if (trouble !== null) throw trouble;
    return trainer;
  };

  const perform = async (message: ToEngine): Promise<void> => {
    switch (message.type) {
      case 'load': {
        const trainer = await engine.load(message.job);
        served.set(message.trainer, { trainer, room: null, shard: null, trouble: null });
        post({ type: 'loaded', call: message.call, givesFactors: trainer.givesFactors === true });
        return;
      }
      case 'setWeights': {
        const found = find(message.trainer);
        found.trouble = null;
        try {
          found.trainer.setWeights(message.weights, message.from);
        } catch (error) {
          found.trouble = error instanceof Error ? error : new Error(String(error));
        }
        return;
      }
      case 'prepare': {
        const found = find(message.trainer);
        found.trainer.prepare(message.step, samplesOf(found, message.shard));
        return;
      }
      case 'gradient': {
        const found = find(message.trainer);
        found.room = message.room ?? found.room;
        if (found.room === null) throw new Error('There is no room for the gradient.');
        const samples = samplesOf(found, message.shard);
        const { step, call, tailFrom, factored } = message;
        const ready = (): void => post({ type: 'tail', call });
        const tail = tailFrom === null ? undefined : { from: tailFrom, ready };
        const result = await sound(found).gradient(step, samples, found.room, tail, factored);
        post({ type: 'computed', call, result });
        return;
      }
      case 'evaluate': {
        const found = find(message.trainer);
        const samples = samplesOf(found, message.shard);
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
        served.get(message.trainer)?.trainer.dispose();
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
      const reason = messageOf(error);
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
function samplesOf(served: Served, { number, samples }: SentShard): Shard {
  if (samples !== null) served.shard = { number, samples };
  if (served.shard?.number !== number) throw new Error('The samples of this shard have not come.');
  return served.shard.samples;
}

import { Feed, type FeedOptions } from '../../../coordinator/observe/feed.ts';
import type { ConnectionHandler } from '../../../coordinator/server/websocket.ts';
import type { FromCoordinator, FromWorker } from '../../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator, type Received } from '../../../shared/protocol/frame.ts';
import { exampleJob, step } from '../../shared/protocol/examples.ts';
import { linkedPair, type LinkedEnd } from '../../support/linked-connection.ts';
import { settle } from '../../support/manual-clock.ts';
import { testPool } from '../pool/pool-harness.ts';

/** A connection that ignores what it is told. */
export const deafConnection = {
  bufferedBytes: 0,
  send: (): void => undefined,
  close: (): void => undefined,
  terminate: (): void => undefined,
};

/**
 * A feed of a run with one worker that has finished the first of four steps.
 * @param pool the workers that the feed has in the place of that one
 */
export async function testFeed(pool?: FeedOptions['pool']) {
  const harness = testPool();
  const feed = new Feed({ job: exampleJob, clock: harness.clock, pool: pool ?? harness.pool });
  const weights = Float32Array.of(1, 2, 3, 4, 5, 6);
  const finishStep = (epoch: number, stepOfEpoch: number, lossSum: number, samples = 4): void => {
    harness.clock.skip(100);
    feed.stepFinished({
      epoch,
      step: stepOfEpoch,
      steps: 2,
      loss: 0.5,
      metrics: { accuracy: 0.75 },
      samplesPerSecond: 40,
      workers: 1,
      batch: { samples, lossSum, metrics: [Math.min(3, samples)] },
      dataWaitMs: 0,
      weights: { step: step((epoch - 1) * 2 + stepOfEpoch), source: { averagedWeights: weights } },
    });
  };
  const watch = () => {
    const received: Received<FromCoordinator>[] = [];
    const { left, right } = linkedPair((side) =>
      side === 'left'
        ? {
            onFrame: (frame) => received.push(parseFromCoordinator(frame)),
            onClose: () => undefined,
          }
        : handler,
    );
    const handler: ConnectionHandler = feed.watch(right);
    const end: LinkedEnd = left;
    const send = (message: FromWorker): Promise<void> => {
      end.send(frameFromWorker(message));
      return settle();
    };
    return { received, end, send };
  };
  const tick = async (): Promise<void> => {
    await harness.clock.advance(500);
    await settle();
  };
  await harness.join('ann');
  feed.epochStarted(1);
  finishStep(1, 1, 8);
  return { ...harness, feed, weights, finishStep, watch, tick };
}

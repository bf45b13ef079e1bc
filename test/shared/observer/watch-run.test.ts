import { expect, it } from 'vitest';
import { benchmarkJob } from '../../../shared/engine/benchmark-job.ts';
import { PROTOCOL_VERSION, type RunMessage, type Step } from '../../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../../shared/protocol/frame.ts';
import type { ConnectionEvents } from '../../../shared/protocol/transport.ts';
import { watchRun, type WatchEvent } from '../../../shared/observer/watch-run.ts';
import { manualClock, settle } from '../../support/manual-clock.ts';

const { job } = benchmarkJob(1);

function startWatch() {
  const clock = manualClock();
  const events: WatchEvent[] = [];
  const sent: string[] = [];
  const closed: string[] = [];
  const sockets: ConnectionEvents[] = [];
  const watch = watchRun({
    url: 'ws://host/',
    token: 'secret',
    connect(_url, socket) {
      sockets.push(socket);
      return {
        send: (frame) => void sent.push(parseFromWorker(frame).message.type),
        close: (_code, reason) => void closed.push(reason),
        terminate: () => undefined,
        bufferedBytes: 0,
      };
    },
    clock,
    random: () => 0,
    onEvent: (event) => void events.push(event),
    onWeights: (payload) => void sent.push(`weights of ${payload.length}`),
    onDetails: ({ samples }) => void sent.push(`details of ${samples} samples`),
  });
  return { clock, events, sent, closed, sockets, watch, types: () => events.map(({ type }) => type) };
}

it('sends watch, requests weights, and reconnects with growing pauses', async () => {
  const { clock, sent, sockets, watch, types } = startWatch();
  watch.requestWeights();
  sockets[0]!.onOpen();
  watch.requestWeights();
  sockets[0]!.onFrame(
    frameFromCoordinator({ type: 'weights', step: 3 as Step, offset: 0 }, new Uint8Array(8)),
  );
  expect(sent).toEqual(['watch', 'snapshot', 'weights of 8']);
  sockets[0]!.onClose(1006, 'lost');
  await clock.advance(250);
  expect(sockets).toHaveLength(2);
  sockets[1]!.onClose(1006, 'lost');
  await clock.advance(499);
  expect(sockets).toHaveLength(2);
  await clock.advance(1);
  expect(sockets).toHaveLength(3);
  sockets[2]!.onClose(1006, 'lost');
  watch.retryNow();
  expect(sockets).toHaveLength(4);
  expect(types().filter((type) => type === 'lost')).toHaveLength(3);
});

it('looks for the next run after a finished one, and reports nothing until there is one', async () => {
  const { clock, events, sockets, types } = startWatch();
  const finished = frameFromCoordinator({ type: 'finished', reason: 'done' });
  sockets[0]!.onOpen();
  sockets[0]!.onFrame(finished);
  sockets[0]!.onClose(1000, 'done');
  await clock.advance(5_000);
  expect(sockets).toHaveLength(1);
  await clock.advance(5_000);
  expect(sockets).toHaveLength(2);
  sockets[1]!.onClose(1006, 'no answer');
  await clock.advance(10_000);
  expect(sockets).toHaveLength(3);
  expect(types()).toEqual(['connecting', 'message']);
  const run: RunMessage = {
    type: 'run',
    protocol: PROTOCOL_VERSION,
    job,
    steps: 1,
    curve: [],
    epochs: [],
  };
  sockets[2]!.onOpen();
  sockets[2]!.onFrame(frameFromCoordinator(run));
  expect(events.at(-1)).toMatchObject({ type: 'message', message: { type: 'run' } });
  sockets[2]!.onClose(1006, 'lost');
  expect(types().at(-1)).toBe('lost');
});

it('closes with a reason that fits a close frame, whatever it has received', () => {
  const { sockets, closed } = startWatch();
  sockets[0]!.onOpen();
  const malformed = { type: 'ping', id: '誰'.repeat(100) };
  sockets[0]!.onFrame(frameFromCoordinator(malformed as never));
  expect(closed).toHaveLength(1);
  expect(new TextEncoder().encode(closed[0]).length).toBeLessThanOrEqual(123);
});

it('does not reconnect when the coordinator refuses it', async () => {
  const refused = startWatch();
  refused.sockets[0]!.onClose(4426, 'Another protocol.');
  await refused.clock.advance(60_000);
  await settle();
  expect(refused.events.at(-1)).toEqual({
    type: 'over',
    reason: 'Another protocol.',
    awaitsNextRun: false,
  });
  expect(refused.sockets).toHaveLength(1);
  expect(refused.clock.pending).toBe(0);
  const locked = startWatch();
  locked.sockets[0]!.onClose(4401, 'Wrong token.');
  await locked.clock.advance(60_000);
  expect(locked.events.at(-1)).toEqual({ type: 'locked', reason: 'Wrong token.' });
  expect(locked.sockets).toHaveLength(1);
});

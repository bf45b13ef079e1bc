import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { attackedRun } from '../support/attacked-run.ts';

const { coordinator, expectStepCompletes, close } = await attackedRun();
afterAll(close);

test('the server closes a connection whose request never ends', async () => {
  const socket = connect(coordinator.port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\n');
  const startedMs = performance.now();
  const drip = setInterval(() => socket.write('a: b\r\n'), 500);
  // events.once would reject on the EPIPE of a late write.
  await new Promise((resolve) => socket.once('close', resolve));
  clearInterval(drip);
  // The server's limit is ten seconds; Node's own is at least sixty.
  expect(performance.now() - startedMs).toBeLessThan(50_000);
  await expectStepCompletes();
}, 120_000);

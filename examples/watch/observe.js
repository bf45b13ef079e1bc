// Observer of a run: node observe.js http://localhost:3000/train/#s3cret
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import {
  frameFromWorker,
  parseCoordinatorLink,
  parseFromCoordinator,
  PROTOCOL_VERSION,
} from 'gradcast/protocol';
import { WebSocket } from 'ws';

/** Prints the epochs of a run until its end; retries while there is none. */
export function observe(link) {
  const { url, token } = parseCoordinatorLink(link);
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    let isFinished = false;
    socket.on('open', () =>
      socket.send(frameFromWorker({ type: 'watch', protocol: PROTOCOL_VERSION, ...(token && { token }) })),
    );
    socket.on('message', (data) => {
      const { message } = parseFromCoordinator(new Uint8Array(data));
      if (message.type === 'ping') socket.send(frameFromWorker({ type: 'pong', id: message.id }));
      if (message.type === 'run') console.log(`Watching: ${message.job.data.name}`);
      if (message.type === 'epoch')
        console.log(`epoch ${message.record.epoch}: accuracy ${message.record.val_accuracy.toFixed(2)}`);
      if (message.type === 'finished') {
        console.log(`The run has ended: ${message.reason}`);
        isFinished = true;
        socket.close();
      }
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (isFinished) resolve();
      else setTimeout(() => resolve(observe(link)), 250);
    });
  });
}

if (argv[1] === fileURLToPath(import.meta.url)) await observe(argv[2]);

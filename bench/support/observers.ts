// Opens observers of a run, all in this process. Sends its parent a message when all have received the state of the run. Arguments: URL COUNT
import { WebSocket } from 'ws';
import { PROTOCOL_VERSION } from '../../shared/protocol/messages.ts';
import { frameFromWorker } from '../../shared/protocol/frame.ts';

const [url = '', count = '0'] = process.argv.slice(2);
const watch = frameFromWorker({ type: 'watch', protocol: PROTOCOL_VERSION });
await Promise.all(
  Array.from({ length: Number(count) }, () => {
    const socket = new WebSocket(url);
    socket.on('open', () => socket.send(watch));
    return new Promise((resolve) => socket.once('message', resolve));
  }),
);
process.send?.('watching');

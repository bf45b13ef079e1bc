// So many observers of the run at an address, in one process: a child of a bench, which it tells when all are told of the
// run. Arguments: URL COUNT
import { WebSocket } from 'ws';
import { PROTOCOL_VERSION } from '../../shared/protocol/messages.ts';
import { frameFromWorker } from '../../shared/protocol/parse.ts';

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

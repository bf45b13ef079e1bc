// A minimal WebSocket client in place of a worker: answers every two frames (weights, shard) with one of the weights' size.
// Arguments: url, bytes
import { WebSocket } from 'ws';

const [, , url = '', bytesText = '0'] = process.argv;
const answer = Buffer.alloc(Number(bytesText));
const socket = new WebSocket(url, { perMessageDeflate: false });
let frames = 0;
socket.on('message', () => {
  if (++frames % 2 === 0) socket.send(answer);
});
socket.on('close', () => process.exit(0));

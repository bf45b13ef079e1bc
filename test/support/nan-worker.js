// A worker whose every answer is NaN. Takes gradcast's arguments (worker ws://…) and ignores all options.
import { Buffer } from 'node:buffer';
import { pack, unpack } from 'msgpackr';
import { WebSocket } from 'ws';

const socket = new WebSocket(process.argv[3]);
let values = 0;

function send(header, payload = new Uint8Array(0)) {
  const packed = pack(header);
  const start = (4 + packed.length + 3) & ~3;
  const frame = Buffer.alloc(start + payload.length);
  frame.writeUInt32LE(packed.length);
  frame.set(packed, 4);
  frame.set(payload, start);
  socket.send(frame);
}

socket.on('open', () => {
  const engine = { backend: 'none', version: '1', device: 'test', threads: 1 };
  send({ type: 'hello', protocol: 2, name: 'local', engine, codecs: ['float32'] });
});
socket.on('message', (frame) => {
  const { type, job, task, ...shard } = unpack(frame.subarray(4, 4 + frame.readUInt32LE()));
  if (type === 'welcome') {
    values = job.layout.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    send({ type: 'ready' });
  } else if (type === 'shard') {
    const result = { samples: shard.samples, lossSum: NaN, metrics: [0], computeMs: 1 };
    const answer = { step: shard.step, shard: shard.shard, result };
    if (task === 'train') send({ type: 'gradient', ...answer, offset: 0 }, new Uint8Array(4 * values));
    else send({ type: 'evaluation', ...answer });
  }
});

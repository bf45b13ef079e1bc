// node fuzz-client.js URL SEED FRAMES A_SECOND < real frames, base64, one a line
// Connects again and again, says hello half of the time, and then whatever the seed makes of real frames. Prints how many
// frames it has sent.
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { WebSocket } from 'ws';

const [, , url, seed, framesText, rateText] = process.argv;
const real = readFileSync(0, 'utf8')
  .trim()
  .split('\n')
  .map((line) => Buffer.from(line, 'base64'));
/** Numbers of [0, 1) that depend on the seed alone (mulberry32). */
let state = Number(seed);
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
const below = (bound) => Math.floor(random() * bound);
const SIDE_BY_SIDE = 20;
const A_CONNECTION = 40;
const REFUSED_WAIT_MS = 500;
const [hello] = real;
let left = Number(framesText);
let sent = 0;
const startedMs = performance.now();

/** A real frame with something wrong, or bytes that never were one. */
function hostileFrame() {
  const frame = Buffer.from(real[below(real.length)]);
  switch (below(8)) {
    case 0:
      return Buffer.from(Array.from({ length: below(200) }, () => below(256)));
    case 1:
      return frame.subarray(0, below(frame.length));
    case 2:
      return Buffer.concat([frame, frame]);
    case 3: {
      // A header that is longer than there are bytes.
      frame.writeUInt32LE(below(2 ** 32), 0);
      return frame;
    }
    case 4: {
      // Another msgpack type in its place: maps, arrays and extensions of any length.
      frame[4 + below(Math.min(60, frame.length - 4))] = 0xc0 + below(32);
      return frame;
    }
    case 5: {
      // Nested as deep as there is room.
      const depth = 1 + below(20_000);
      const nested = Buffer.alloc(4 + depth, 0x91);
      nested.writeUInt32LE(depth, 0);
      return nested;
    }
    case 6:
      return frame;
    default: {
      for (let flips = 1 + below(6); flips > 0; flips--) frame[below(frame.length)] ^= 1 << below(8);
      return frame;
    }
  }
}

async function attack() {
  while (left > 0) {
    const aheadMs = (sent / Number(rateText)) * 1_000 - (performance.now() - startedMs);
    if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
    await new Promise((resolve) => {
      const socket = new WebSocket(url, { perMessageDeflate: false });
      let opened = false;
      socket.on('error', () => undefined);
      // The server bounds what a network may ask of it; a client that does not wait gets nothing at all.
      socket.on('close', () => (opened ? resolve() : setTimeout(resolve, REFUSED_WAIT_MS)));
      socket.on('open', () => {
        opened = true;
        if (random() < 0.5) socket.send(hello);
        for (let i = below(A_CONNECTION); i >= 0 && left > 0; i--, left--) {
          socket.send(hostileFrame());
          sent++;
        }
        if (random() < 0.3) socket.terminate();
        else setTimeout(() => socket.terminate(), below(50));
      });
    });
  }
}

await Promise.all(Array.from({ length: SIDE_BY_SIDE }, attack));
// As text: Node colors numbers where FORCE_COLOR is set.
console.log(String(sent));

// node fuzz-client.js URL SEED FRAMES FRAMES_PER_SECOND < real frames, base64, one a line
// Connects repeatedly, sends a hello on half of the connections, and then frames that it derives from real ones by the
// seed. Prints the number of sent frames.
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { WebSocket } from 'ws';

const [, , url, seed, framesText, rateText] = process.argv;
const real = readFileSync(0, 'utf8')
  .trim()
  .split('\n')
  .map((line) => Buffer.from(line, 'base64'));
/** State of mulberry32, which draws numbers in [0, 1) from the seed alone. */
let state = Number(seed);
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
const below = (bound) => Math.floor(random() * bound);
const CONCURRENT_CONNECTIONS = 20;
const MAX_FRAMES_PER_CONNECTION = 40;
const REFUSED_WAIT_MS = 500;
const [hello] = real;
let left = Number(framesText);
let sent = 0;
const startedMs = performance.now();

/** A damaged, nested or repeated real frame, or random bytes. */
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
      // A header length beyond the frame's end.
      frame.writeUInt32LE(below(2 ** 32), 0);
      return frame;
    }
    case 4: {
      // Another msgpack type: maps, arrays and extensions of any length.
      frame[4 + below(Math.min(60, frame.length - 4))] = 0xc0 + below(32);
      return frame;
    }
    case 5: {
      // Nested arrays up to the end of the header.
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
      // The server limits connections of one network; a client that does not wait stays blocked.
      socket.on('close', () => (opened ? resolve() : setTimeout(resolve, REFUSED_WAIT_MS)));
      socket.on('open', () => {
        opened = true;
        if (random() < 0.5) socket.send(hello);
        for (let i = below(MAX_FRAMES_PER_CONNECTION); i >= 0 && left > 0; i--, left--) {
          socket.send(hostileFrame());
          sent++;
        }
        if (random() < 0.3) socket.terminate();
        else setTimeout(() => socket.terminate(), below(50));
      });
    });
  }
}

await Promise.all(Array.from({ length: CONCURRENT_CONNECTIONS }, attack));
// Printed as text, since Node colors numbers if FORCE_COLOR is set.
console.log(String(sent));

// Measures codecs on one core: encoding, decoding, encoding with error feedback as workers do, and an update of the shared
// weights as the coordinator makes it. Arguments: [values = 600810] [times = 100]
import { UpdateEncoder } from '../coordinator/weights/update-encoder.ts';
import { CODECS } from '../shared/codec/registry.ts';
import { ErrorFeedback } from '../shared/codec/error-feedback.ts';
import { openFrame } from '../shared/protocol/frame.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { median } from './support/statistics.ts';

const [, , valuesText = '600810', timesText = '100'] = process.argv;
const length = Number(valuesText);
const times = Number(timesText);
/** First runs that are not counted, in which caches and compilers warm up. */
const WARM_UP = 20;

/** Values over several orders of magnitude, like those of gradients. */
const values = Float32Array.from(
  { length },
  (_, i) => Math.sin(i * 12.9898) * 10 ** (-4 * Math.abs(Math.sin(i * 0.001))),
);
const gigabytes = (length * 4) / 1e9;

function time(run: () => void): string {
  const elapsedMs: number[] = [];
  for (let i = 0; i < WARM_UP + times; i++) {
    const startedMs = performance.now();
    run();
    if (i >= WARM_UP) elapsedMs.push(performance.now() - startedMs);
  }
  const ms = median(elapsedMs);
  return `${ms.toFixed(2).padStart(6)} ms ${((gigabytes * 1000) / ms).toFixed(1).padStart(7)} GB/s`;
}

console.log(`${length} values, ${(length * 4) / 1e6} MB of float32; medians of ${times}`);
for (const codec of CODECS) {
  const payload = new Uint8Array(codec.bytes(length));
  const decoded = new Float32Array(length);
  const feedback = new ErrorFeedback(length);
  console.log(`${codec.name}: ${payload.length} bytes`);
  console.log(`  encode            ${time(() => codec.encode(values, payload))}`);
  console.log(`  decode            ${time(() => void codec.decode(payload, length, decoded))}`);
  if (!codec.lossy) continue;
  console.log(`  with feedback     ${time(() => feedback.encode(codec, values, payload))}`);
  const shared = new UpdateEncoder(length, (step, offset, _codec, payloadBytes) =>
    openFrame({ type: 'update', step, offset }, payloadBytes),
  );
  shared.setCodec(codec);
  shared.reset(0 as Step, new Float32Array(length));
  console.log(`  update of weights ${time(() => shared.advance(values))}`);
}

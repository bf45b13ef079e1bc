import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { checksum } from '../../shared/protocol/checksum.ts';
import {
  decodeFrame,
  encodeFrame,
  parseFromCoordinator,
  parseFromWorker,
} from '../../shared/protocol/frame.ts';
import { jobSchema } from '../../shared/model/job.ts';
import { fillRandomValues } from '../../shared/kernels/masks/random-values.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { threefry2x32 } from '../../shared/random/threefry.ts';
import { murmur3 } from '../../shared/worker/engine-fingerprint.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import * as v from 'valibot';
import { wasmEngine } from '../support/wasm-engine.ts';

const protocol = readFileSync(new URL('../../PROTOCOL.md', import.meta.url), 'utf8');

/** The fenced blocks of a language. */
const blocks = (language: string): string[] =>
  [...protocol.matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, 'g'))].map(([, text = '']) => text);

/** Bytes of a line such as `0f 00 00 00    header length 15`. */
const parseHex = (line: string): number[] =>
  (/^(?:[0-9a-f]{2}(?: |$))+/.exec(line)?.[0] ?? '')
    .trim()
    .split(' ')
    .filter((byte) => byte !== '')
    .map((byte) => parseInt(byte, 16));

const hex = (bytes: Iterable<number>): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

const examples = blocks('hex').map((text) => {
  const [json = '', ...lines] = text.trim().split('\n');
  const hasTrailer = lines.at(-1)?.endsWith('checksum trailer') === true;
  const bytes = Uint8Array.from(lines.flatMap(parseHex));
  return { header: JSON.parse(json.slice(2)) as object, bytes, hasTrailer };
});

test('PROTOCOL.md has examples of frames', () => {
  expect(examples.length).toBeGreaterThan(10);
});

test.each(examples)(
  'the frame in hex is what its header encodes to: $header',
  ({ header, bytes, hasTrailer }) => {
    const frame = hasTrailer ? bytes.subarray(0, -4) : bytes;
    const { payload } = decodeFrame(frame.slice());
    expect(hex(encodeFrame(header, payload))).toBe(hex(frame));
    if (hasTrailer)
      expect(hex(bytes.subarray(-4))).toBe(hex(new Uint8Array(Uint32Array.of(checksum(frame)).buffer)));
  },
);

/** Messages that a worker sends; all other examples are sent by the coordinator. */
const FROM_WORKER = /^(?:hello|ready|gradient|evaluation|failed|leaving|pong)$/;

test('the examples are messages that the program reads', () => {
  for (const { header, bytes, hasTrailer } of examples) {
    const frame = hasTrailer ? bytes.slice(0, -4) : bytes.slice();
    const isFromWorker = FROM_WORKER.test((header as { type: string }).type);
    const { message } = isFromWorker ? parseFromWorker(frame) : parseFromCoordinator(frame);
    expect(message).toEqual(header);
  }
  const welcome = JSON.parse(blocks('json')[0] ?? '{}') as object;
  expect(parseFromCoordinator(encodeFrame(welcome)).message).toEqual(welcome);
});

test('the example of a welcome has a valid job', () => {
  const [welcome = '{}'] = blocks('json');
  const { job } = JSON.parse(welcome) as { job: unknown };
  expect(v.parse(jobSchema, job)).toEqual(job);
});

test.each([0, 1])('random numbers of layer %d are those of the test vectors', (layer) => {
  for (const draw of ['uniform', 'normal'] as const) {
    const line = new RegExp(`layer ${layer}, ${draw} +(.*)`).exec(protocol)?.[1] ?? '';
    const values = new Float32Array(4);
    fillRandomValues(values, { seed: 1337, step: 3 }, Uint32Array.of(8), layer, 4, draw);
    const expected = line.trim().split(/ +/).map(Number);
    expect(expected).toHaveLength(4);
    expected.forEach((value, i) => expect(values[i]).toBeCloseTo(value, 7));
  }
});

test('masks and streams are those of the test vectors', () => {
  const words = new Uint32Array(2);
  const [seed, step, sample] = [1337, 3, 8];
  threefry2x32(seed, Purpose.dropout, step, sample, words);
  const [key0 = 0, key1 = 0] = words;
  for (const layer of [0, 1]) {
    const bytes = [0, 1].flatMap((block) => {
      threefry2x32(key0, key1, block, layer, words);
      return [...new Uint8Array(words.slice().buffer)];
    });
    expect(protocol).toContain(`layer ${layer}   ${hex(bytes)}`);
  }
  const stream = randomStream(seed, Purpose.engineFingerprint);
  const first = Array.from({ length: 4 }, () => stream.uint32().toString(16).padStart(8, '0')).join(' ');
  expect(protocol).toContain(`stream(0, 0) begins ${first}`);
  const counted = Uint32Array.of(1, 2, 3);
  expect(protocol).toContain(`hash to ${[0, 1].map((key) => murmur3(counted, key).toString(16)).join('')}`);
});

test('loss and gradient of the small model are those of the engine', async () => {
  const [welcome = '{}'] = blocks('json');
  const { job } = v.parse(v.object({ job: jobSchema }), JSON.parse(welcome));
  const computer = await (await wasmEngine()).load(job);
  computer.setWeights(Float32Array.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0, 0.5));
  const shard = {
    sampleNumbers: Uint32Array.of(5, 8),
    inputs: [Uint8Array.of(255, 51, 102, 0, 0, 204, 153, 255)],
    targets: [Uint8Array.of(0, 1)],
  };
  const gradient = new Float32Array(10);
  const { lossSum, metrics } = await computer.gradient(3 as Step, shard, gradient);
  const numbers = (name: string): number[] =>
    (new RegExp(`^${name} +(.*)$`, 'm').exec(protocol)?.[1] ?? '').split(', ').map(Number);
  expect(lossSum).toBeCloseTo(numbers('lossSum')[0] as number, 5);
  expect(metrics).toEqual(numbers('accuracy'));
  const expected = [...numbers('gradient, kernel'), ...numbers('gradient, bias')];
  expect(expected).toHaveLength(10);
  for (const [i, value] of expected.entries()) expect(gradient[i]).toBeCloseTo(value, 5);
  expect((await computer.evaluate(shard)).lossSum).toBeCloseTo(1.466727, 5);
  computer.dispose();
});

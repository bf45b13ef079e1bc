// The smallest worker: the core of PROTOCOL.md and nothing else, for models of Flatten, Dropout and one Dense softmax layer.
//
//   node docs/examples/smallest-worker.js ws://127.0.0.1:2718/ [token]
//
// It shares no code with gradcast, so that it can be translated to another language line by line.
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Packr } from 'msgpackr';
import WebSocket from 'ws';

const PROTOCOL = 2;
/** Close codes after which a worker does not reconnect (PROTOCOL.md, section 9). */
const ENDING_CODES = [4400, 4401, 4409, 4413, 4420, 4421, 4422, 4424, 4425, 4426, 4427];
const msgpack = new Packr({ useRecords: false });

/** Lays out a frame: header length, header, padding to a multiple of 4, payload (section 3). */
export function encodeFrame(header, payload = new Uint8Array(0)) {
  const packed = msgpack.pack(header);
  const start = Math.ceil((4 + packed.length) / 4) * 4;
  const frame = new Uint8Array(start + payload.length);
  new DataView(frame.buffer).setUint32(0, packed.length, true);
  frame.set(packed, 4);
  frame.set(payload, start);
  return frame;
}

/** Takes a frame apart. The payload is a copy, so that it is aligned for typed arrays. */
export function decodeFrame(frame) {
  const length = new DataView(frame.buffer, frame.byteOffset).getUint32(0, true);
  const start = Math.ceil((4 + length) / 4) * 4;
  return {
    header: msgpack.unpack(frame.subarray(4, 4 + length)),
    payload: Uint8Array.from(frame.subarray(start)),
  };
}

/** Threefry-2x32 with 20 rounds (section 8). */
function threefry([k0, k1], [c0, c1]) {
  const keys = [k0, k1, 0x1bd11bda ^ k0 ^ k1];
  let a = (c0 + k0) | 0;
  let b = (c1 + k1) | 0;
  for (let round = 0; round < 20; round++) {
    a = (a + b) | 0;
    const turns = [13, 15, 26, 6, 17, 29, 16, 24][round % 8];
    b = ((b << turns) | (b >>> (32 - turns))) ^ a;
    if (round % 4 < 3) continue;
    const s = (round + 1) / 4;
    a = (a + keys[s % 3]) | 0;
    b = (b + keys[(s + 1) % 3] + s) | 0;
  }
  return [a, b];
}

/** Multiplies one sample's input to a dropout layer by its mask (section 8). */
function applyDropout(values, rate, { seed, step, sample, layer }) {
  const threshold = Math.min(255, Math.floor(256 * rate + 0.5));
  const subkey = threefry([seed, 2], [step, sample]);
  for (let e = 0; e < values.length; e += 8) {
    const bytes = new Uint8Array(Int32Array.from(threefry(subkey, [e / 8, layer])).buffer);
    for (let i = e; i < Math.min(e + 8, values.length); i++) {
      values[i] *= bytes[i - e] >= threshold ? 256 / (256 - threshold) : 0;
    }
  }
}

/** One connection's worker: bytes of frames go in by receive(), frames go out by `send`. */
export class SmallestWorker {
  #send;
  #job = null;
  #length = 0;
  /** Newest complete weights and their step; buckets of the next ones. */
  #weights = null;
  #weightsStep = -1;
  #next = null;
  #shards = [];
  /** Whether `finished` has come. */
  isFinished = false;
  /** Whether a shard has come after an answer. */
  isAnswerAccepted = false;
  #hasAnswered = false;

  constructor(send) {
    this.#send = (header, payload) => send(encodeFrame(header, payload));
  }

  sayHello(token) {
    const engine = { backend: 'plain JavaScript', version: '1', device: 'CPU', threads: 1 };
    const hello = { type: 'hello', protocol: PROTOCOL, name: 'smallest', engine, codecs: ['float32'] };
    this.#send(token === undefined ? hello : { ...hello, token });
  }

  receive(frame) {
    const { header, payload } = decodeFrame(frame);
    switch (header.type) {
      case 'welcome':
        this.#job = header.job;
        this.#length = header.job.layout.reduce(
          (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
          0,
        );
        checkModel(header.job);
        this.#send({ type: 'ready' });
        break;
      case 'ping':
        this.#send({ type: 'pong', id: header.id });
        break;
      case 'weights':
        this.#onWeights(header, new Float32Array(payload.buffer));
        break;
      case 'shard':
        this.isAnswerAccepted = this.#hasAnswered;
        this.#shards.push({ header, payload });
        break;
      case 'rejected':
        console.error(`The coordinator rejected an answer: ${header.reason}`);
        break;
      case 'finished':
        this.isFinished = true;
        break;
      default:
        throw Object.assign(new Error(`No message of the core: ${header.type}`), { code: 4400 });
    }
    this.#work();
  }

  #onWeights({ step, offset }, values) {
    if (offset + values.length === this.#length) this.#next = new Float32Array(this.#length);
    this.#next.set(values, offset);
    if (offset > 0) return;
    this.#weights = this.#next;
    this.#weightsStep = step;
  }

  /** Answers all shards that the weights are for, and drops older ones. */
  #work() {
    const shards = this.#shards.filter(({ header }) => header.step === this.#weightsStep);
    this.#shards = this.#shards.filter(({ header }) => header.step > this.#weightsStep);
    for (const { header, payload } of shards) {
      const { task, step, shard } = header;
      const started = Date.now();
      const { gradient, lossSum, correct } = this.#compute(header, payload);
      this.#hasAnswered = true;
      const result = {
        samples: header.samples,
        lossSum,
        metrics: [correct],
        computeMs: Date.now() - started,
      };
      if (task === 'evaluate') this.#send({ type: 'evaluation', step, shard, result });
      else this.#send({ type: 'gradient', step, shard, offset: 0, result }, new Uint8Array(gradient.buffer));
    }
  }

  #compute({ task, step, samples: count }, payload) {
    const {
      inputs: [input],
      seed,
      topology,
    } = this.#job;
    const inputs = input.shape.reduce((a, b) => a * b, 1);
    const outputs = this.#length / (inputs + 1);
    const numbers = new Uint32Array(payload.buffer, 0, count);
    const images = payload.subarray(4 * count, 4 * count + count * inputs);
    // Each part of the payload begins at a multiple of 4.
    const labels = payload.subarray(4 * count + Math.ceil((count * inputs) / 4) * 4);
    const rates = topology.config.layers.filter((l) => l.class_name === 'Dropout').map((l) => l.config.rate);
    const gradient = new Float32Array(this.#length);
    let lossSum = 0;
    let correct = 0;
    for (let n = 0; n < count; n++) {
      const x = Float64Array.from(
        images.subarray(n * inputs, (n + 1) * inputs),
        (byte) => byte * input.scale,
      );
      if (task === 'train') {
        rates.forEach((rate, layer) => applyDropout(x, rate, { seed, step, sample: numbers[n], layer }));
      }
      const logits = Float64Array.from({ length: outputs }, (_, c) =>
        x.reduce(
          (sum, value, i) => sum + value * this.#weights[i * outputs + c],
          this.#weights[inputs * outputs + c],
        ),
      );
      const largest = Math.max(...logits);
      const logSum = largest + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - largest), 0));
      lossSum += logSum - logits[labels[n]];
      if (logits.indexOf(largest) === labels[n]) correct++;
      for (let c = 0; c < outputs; c++) {
        const slope = Math.exp(logits[c] - logSum) - (c === labels[n] ? 1 : 0);
        for (let i = 0; i < inputs; i++) gradient[i * outputs + c] += x[i] * slope;
        gradient[inputs * outputs + c] += slope;
      }
    }
    return { gradient, lossSum, correct };
  }
}

/** Accepts Flatten and Dropout layers and a Dense softmax layer at the end. */
function checkModel({ topology, layout, inputs, targets, outputs, microShard, customCode }) {
  const layers = topology.config.layers;
  const isKnown = layers.every(
    ({ class_name: name, config }, i) =>
      name === 'Flatten' ||
      name === 'Dropout' ||
      (i === layers.length - 1 && config.activation === 'softmax'),
  );
  const tensors = [...inputs, ...targets];
  const [{ loss, metrics }] = outputs;
  const isKnownLoss =
    loss.name === 'sparse_categorical_crossentropy' && loss.fromLogits !== true && outputs.length === 1;
  const isAccuracy = metrics.length === 1 && metrics[0].name === 'sparse_categorical_accuracy';
  const hasBytes = tensors.length === 2 && tensors.every(({ dtype }) => dtype === 'uint8');
  if (
    isKnown &&
    isKnownLoss &&
    isAccuracy &&
    hasBytes &&
    layout.length === 2 &&
    layout.every((t) => t.trainable) &&
    microShard === undefined &&
    customCode === undefined
  )
    return;
  throw Object.assign(new Error('This worker knows Flatten, Dropout and one Dense softmax layer.'), {
    code: 4424,
  });
}

/** Connects, and reconnects as section 7 says. */
function run(url, token, pauseMs = 500) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  const worker = new SmallestWorker((frame) => socket.send(frame));
  let nextPauseMs = Math.min(2 * pauseMs, 15_000);
  socket.on('open', () => worker.sayHello(token));
  socket.on('message', (data) => {
    try {
      worker.receive(data);
      if (worker.isAnswerAccepted) nextPauseMs = 500;
    } catch (error) {
      socket.close(error.code ?? 4424, error.message.slice(0, 100));
    }
  });
  socket.on('error', () => undefined);
  socket.on('close', (code, reason) => {
    console.error(`Closed: ${code} ${reason}`);
    if (worker.isFinished || ENDING_CODES.includes(code)) return;
    setTimeout(() => run(url, token, nextPauseMs), pauseMs * (0.5 + Math.random()));
  });
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  run(process.argv[2] ?? 'ws://127.0.0.1:2718/', process.argv[3]);
}

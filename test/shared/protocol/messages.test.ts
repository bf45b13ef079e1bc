import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import {
  encodeFrame,
  parseFromCoordinator,
  parseFromWorker,
  type Received,
} from '../../../shared/protocol/frame.ts';
import type { FromCoordinator, FromWorker } from '../../../shared/protocol/messages.ts';
import { exampleHello, fromCoordinatorExamples, fromWorkerExamples } from './examples.ts';
import { checkProperty } from '../../support/property.ts';

interface Direction {
  readonly from: string;
  readonly parse: (bytes: Uint8Array) => Received<FromWorker | FromCoordinator>;
  readonly examples: readonly (FromWorker | FromCoordinator)[];
  readonly others: readonly (FromWorker | FromCoordinator)[];
}

const directions: readonly Direction[] = [
  { from: 'a worker', parse: parseFromWorker, examples: fromWorkerExamples, others: fromCoordinatorExamples },
  {
    from: 'the coordinator',
    parse: parseFromCoordinator,
    examples: fromCoordinatorExamples,
    others: fromWorkerExamples,
  },
];

const allowedOutcomes: unknown[] = ['parsed', CloseCode.malformed];

type Path = readonly (string | number)[];

/** Paths of all fields of a message, nested ones included. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  // The content of a topology is checked by tfjs, not by the schema.
  if (typeof value !== 'object' || value === null || path.at(-1) === 'topology') return [path];
  const inner = Object.entries(value).flatMap(([key, field]) => pathsOf(field, [...path, key]));
  return path.length === 0 ? inner : [path, ...inner];
}

function withField(message: object, path: Path, value: unknown): object {
  const copy = structuredClone(message);
  const holder = path.slice(0, -1).reduce<object>((at, key) => Reflect.get(at, key) as object, copy);
  if (value === undefined) Reflect.deleteProperty(holder, path.at(-1)!);
  else Reflect.set(holder, path.at(-1)!, value);
  return copy;
}

/** Invalid values of a field. undefined stands for a missing field. */
function wrongFor(message: { readonly type: string }, path: Path): unknown[] {
  const name = String(path.at(-1));
  // Of the optimizer, a worker reads the name at most.
  if (path.includes('optimizer') && !['optimizer', 'name'].includes(name)) return [];
  const isBoolean = ['trainable', 'prefetch', 'standby', 'switchCodecs'].includes(name);
  const wrong: unknown[] = [isBoolean ? 1 : true, 'x'.repeat(3000)];
  const nullable = path.length === 1 && ['loss', 'etaSeconds', 'slowest'].includes(name);
  if (!nullable && !['rttMs', 'endMs'].includes(name)) wrong.push(null);
  const optional = [
    'token',
    'prefetch',
    'instance',
    'updateCodec',
    'switchCodecs',
    'fingerprint',
    'encoding',
    'advice',
    'timeline',
    'weightNames',
    'classNames',
    'scale',
    'classes',
    'label',
    'accuracy',
    'val_accuracy',
  ];
  if (name === 'machine' || (name === 'workers' && message.type === 'progress')) optional.push(name);
  if (['codecs', 'standby'].includes(name) && path.length === 3) optional.push(name);
  if (name === 'standby' && path.length === 1 && message.type === 'hello') optional.push(name);
  if (!optional.includes(name)) wrong.push(undefined);
  // A map of metrics may be empty.
  if (name !== 'topology' && name !== 'metrics') wrong.push({});
  if (name !== 'topology') wrong.push([{}], new Date(0));
  const isMetric = path.includes('metrics') || ['accuracy', 'val_accuracy'].includes(name);
  const signed =
    isMetric || ['lossSum', 'learningRate', 'rho', 'epsilon', 'scale', 'loss', 'val_loss'].includes(name);
  if (!signed) wrong.push(-1.5);
  if (!signed && !/Ms$|Seconds?$|^seconds$|_per_second$/.test(name)) wrong.push(2 ** 63);
  return wrong;
}

function outcome(parse: (bytes: Uint8Array) => unknown, bytes: Uint8Array): unknown {
  try {
    parse(bytes);
    return 'parsed';
  } catch (error) {
    return error instanceof ProtocolError ? error.code : error;
  }
}

describe.each(directions)('a message from $from', ({ parse, examples, others }) => {
  it.each(examples)('$type is parsed to the message that was encoded', (message) => {
    const payload = Uint8Array.of(1, 2, 3, 4, 5);
    const received = parse(encodeFrame(message, payload));
    expect(received.message).toEqual(message);
    expect(new Uint8Array(received.payload)).toEqual(payload);
  });

  it.each(examples)('$type is rejected with 4400 if a field is missing or has a wrong type', (message) => {
    const accepted = pathsOf(message).flatMap((path) =>
      wrongFor(message, path)
        .filter(
          (value) => outcome(parse, encodeFrame(withField(message, path, value))) !== CloseCode.malformed,
        )
        .map((value) => [path.join('.'), value]),
    );
    expect(accepted).toEqual([]);
  });

  it.each(others)('cannot be a $type', (message) => {
    expect(outcome(parse, encodeFrame(message))).toBe(CloseCode.malformed);
  });

  it('may have unknown fields, which are dropped', () => {
    for (const message of examples) {
      expect(parse(encodeFrame({ ...message, later: [1] })).message).toEqual(message);
    }
  });

  it('may have a job with any optimizer that has a name', () => {
    const optimizer = { name: 'later', tensors: [{ rank: 2 }], rate: null };
    for (const message of examples) {
      if (!('job' in message)) continue;
      const changed = { ...message, job: { ...(message.job as object), optimizer } };
      expect(parse(encodeFrame(changed)).message).toEqual(changed);
    }
  });

  it('is parsed or rejected with a ProtocolError if a real frame is damaged', () => {
    const edits = fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { minLength: 1, maxLength: 6 });
    checkProperty(
      fc.property(fc.constantFrom(...examples), edits, fc.nat(600), (message, changes, length) => {
        const bytes = encodeFrame(message, new Uint8Array(12));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        return [bytes, bytes.subarray(0, length % bytes.length)].every((damaged) =>
          allowedOutcomes.includes(outcome(parse, damaged)),
        );
      }),
      { seed: 1, numRuns: 3000 },
    );
  });

  it('is parsed or rejected with a ProtocolError for any msgpack value as the header', () => {
    const values = fc.anything({ withBigInt: false, withNullPrototype: false, withDate: true });
    const header = fc.oneof(
      values,
      fc.record({ type: fc.constantFrom(...examples.map(({ type }) => type), 'toString', '__proto__') }),
    );
    checkProperty(
      fc.property(header, (value) => {
        // msgpack cannot encode some of these values.
        const bytes = ((): Uint8Array | null => {
          try {
            return encodeFrame(value as object);
          } catch {
            return null;
          }
        })();
        return bytes === null || allowedOutcomes.includes(outcome(parse, bytes));
      }),
      { seed: 2, numRuns: 1000 },
    );
  });

  it.each([NaN, Infinity, -Infinity, -0.5, 2 ** 53])('is rejected if an integer field is %s', (value) => {
    for (const message of examples) {
      for (const path of pathsOf(message)) {
        if (!['step', 'shard', 'id', 'samples', 'protocol', 'seed'].includes(String(path.at(-1)))) continue;
        expect(outcome(parse, encodeFrame(withField(message, path, value)))).toBe(CloseCode.malformed);
      }
    }
  });
});

describe('the error of a rejected message', () => {
  it('names the field', () => {
    const frame = encodeFrame({ ...exampleHello, engine: { ...exampleHello.engine, threads: 0 } });
    expect(() => parseFromWorker(frame)).toThrow(/engine\.threads/);
  });

  it('describes what is missing, wrong or unknown', () => {
    const nameless = Object.fromEntries(Object.entries(exampleHello).filter(([field]) => field !== 'name'));
    const errorOf = (message: object): unknown => {
      try {
        return parseFromWorker(encodeFrame(message));
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(errorOf(nameless)).toBe('Not a message of this direction: hello lacks the field name.');
    expect(errorOf({ ...exampleHello, protocol: 'one' })).toMatch(
      /hello has "one" in the field protocol; it should be number\.$/,
    );
    expect(errorOf({ type: 'gradeint' })).toBe(
      "Not a message of this direction: no message has the type 'gradeint'.",
    );
    expect(errorOf({ protocol: 1 })).toBe('Not a message: the field type is missing or is not a text.');
    const bucket = { type: 'gradient', step: 3, shard: 17 };
    expect(errorOf({ ...bucket, offset: 0 })).toMatch(/: gradient lacks the field result\.$/);
    expect(errorOf({ ...bucket, offset: 4, result: {} })).toMatch(
      /: gradient has Object in the field result; it should be undefined\.$/,
    );
    expect(errorOf({ ...bucket, offset: -1 })).toMatch(/: gradient has -1 in the field offset;/);
  });

  it('quotes at most one line of received text', () => {
    const frame = encodeFrame({ ...exampleHello, protocol: 'x'.repeat(10_000) });
    expect(() => parseFromWorker(frame)).toThrow(/protocol/);
    expect(() => parseFromWorker(frame)).toThrow(/^.{0,500}$/);
  });
});

describe('a message to the coordinator', () => {
  it('fits into the header limit if all texts have their maximum length', () => {
    const long = (length: number): string => '\u20ac'.repeat(length);
    const hello = {
      ...exampleHello,
      name: long(100),
      token: long(200),
      instance: long(40),
      engine: { backend: long(40), version: long(80), device: long(200), threads: 1 },
      codecs: Array<string>(32).fill(long(40)),
    };
    expect(parseFromWorker(encodeFrame(hello)).message).toMatchObject({ name: long(100) });
    const failed = fromWorkerExamples.find(({ type }) => type === 'failed');
    expect(parseFromWorker(encodeFrame({ ...failed, reason: long(2000) })).message.type).toBe('failed');
  });

  it('is rejected before decoding if its header exceeds the limit', () => {
    const keys = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, 1]));
    const frame = encodeFrame({ type: 'pong', id: 1, ...keys });
    expect(outcome(parseFromWorker, frame)).toBe(CloseCode.malformed);
    expect(() => parseFromWorker(frame)).toThrow(/the limit is 16384/);
  });
});

describe('an error that quotes received text', () => {
  it.each([
    { type: '\u001b[2J\u001b[1;31mHACKED\r\n+ forged line' },
    { ...exampleHello, protocol: '\u001b[31m\u202e' },
    { ...exampleHello, engine: { backend: '\u009b2J\nforged' } },
  ])('contains no control characters', (message) => {
    // oxlint-disable-next-line no-control-regex -- the test looks for control characters
    expect(() => parseFromWorker(encodeFrame(message))).toThrow(/^[^\u0000-\u001f\u007f-\u009f\u202e]+$/);
  });
});

describe('an answer', () => {
  it('has a result if and only if its offset is 0', () => {
    const result = { samples: 32, lossSum: 1.5, metrics: [30], computeMs: 12.25 };
    const bucket = { type: 'gradient', step: 3, shard: 17, offset: 4 };
    expect(outcome(parseFromWorker, encodeFrame(bucket))).toBe('parsed');
    expect(outcome(parseFromWorker, encodeFrame({ ...bucket, offset: 0, result }))).toBe('parsed');
    expect(outcome(parseFromWorker, encodeFrame({ ...bucket, offset: 0 }))).toBe(CloseCode.malformed);
    expect(outcome(parseFromWorker, encodeFrame({ ...bucket, result }))).toBe(CloseCode.malformed);
  });

  it.each([NaN, Infinity])(
    'with a loss of %s is parsed, because the coordinator rejects it with a code of its own',
    (lossSum) => {
      const gradient = fromWorkerExamples.find(({ type }) => type === 'gradient');
      const result = { samples: 32, lossSum, metrics: [30], computeMs: 12.25 };
      const message = { ...gradient, offset: 0, result };
      expect(parseFromWorker(encodeFrame(message)).message).toEqual(message);
    },
  );
});

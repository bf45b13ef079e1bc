import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import { encodeFrame } from '../../../shared/protocol/frame.ts';
import type { FromCoordinator, FromWorker, Hello } from '../../../shared/protocol/messages.ts';
import { parseFromCoordinator, parseFromWorker, type Received } from '../../../shared/protocol/parse.ts';
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

const harmless: unknown[] = ['parsed', CloseCode.malformed];

type Path = readonly (string | number)[];

/** The path of every field of a message, however deep. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  // What a topology holds is for tfjs to judge.
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

/** Values that this field cannot have. An undefined one is left out. */
function wrongFor(message: { readonly type: string }, path: Path): unknown[] {
  const name = String(path.at(-1));
  const truth = ['trainable', 'prefetch', 'standby', 'switchCodecs'].includes(name);
  const wrong: unknown[] = [truth ? 1 : true, 'x'.repeat(3000)];
  const nullable = path.length === 1 && ['loss', 'accuracy', 'etaSeconds', 'slowest'].includes(name);
  if (!nullable && name !== 'rttMs') wrong.push(null);
  const optional = [
    'token',
    'prefetch',
    'instance',
    'updateCodec',
    'switchCodecs',
    'fingerprint',
    'encoding',
    'advice',
  ];
  if (['codecs', 'standby'].includes(name) && path.length === 3) optional.push(name);
  if (name === 'standby' && path.length === 1 && message.type === 'hello') optional.push(name);
  if (!optional.includes(name)) wrong.push(undefined);
  if (name !== 'topology') wrong.push({}, [{}], new Date(0));
  const signed = ['lossSum', 'learningRate', 'rho', 'epsilon', 'scale', 'loss', 'val_loss'].includes(name);
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
  it.each(examples)('$type is read as it was written', (message) => {
    const payload = Uint8Array.of(1, 2, 3, 4, 5);
    const received = parse(encodeFrame(message, payload));
    expect(received.message).toEqual(message);
    expect(new Uint8Array(received.payload)).toEqual(payload);
  });

  it.each(examples)(
    '$type is refused with 4400 if any of its fields is of another kind or missing',
    (message) => {
      const accepted = pathsOf(message).flatMap((path) =>
        wrongFor(message, path)
          .filter(
            (value) => outcome(parse, encodeFrame(withField(message, path, value))) !== CloseCode.malformed,
          )
          .map((value) => [path.join('.'), value]),
      );
      expect(accepted).toEqual([]);
    },
  );

  it.each(others)('is not a $type', (message) => {
    expect(outcome(parse, encodeFrame(message))).toBe(CloseCode.malformed);
  });

  it('may have fields that this version does not know, which are dropped', () => {
    for (const message of examples) {
      expect(parse(encodeFrame({ ...message, later: [1] })).message).toEqual(message);
    }
  });

  it('is nothing but a message or a ProtocolError, however a real frame is damaged', () => {
    const edits = fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { minLength: 1, maxLength: 6 });
    checkProperty(
      fc.property(fc.constantFrom(...examples), edits, fc.nat(600), (message, changes, length) => {
        const bytes = encodeFrame(message, new Uint8Array(12));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        return [bytes, bytes.subarray(0, length % bytes.length)].every((damaged) =>
          harmless.includes(outcome(parse, damaged)),
        );
      }),
      { seed: 1, numRuns: 3000 },
    );
  });

  it('is nothing but a message or a ProtocolError, whatever msgpack value the header is', () => {
    const values = fc.anything({ withBigInt: false, withNullPrototype: false, withDate: true });
    const header = fc.oneof(
      values,
      fc.record({ type: fc.constantFrom(...examples.map(({ type }) => type), 'toString', '__proto__') }),
    );
    checkProperty(
      fc.property(header, (value) => {
        // Some of these cannot be packed at all.
        const bytes = ((): Uint8Array | null => {
          try {
            return encodeFrame(value as object);
          } catch {
            return null;
          }
        })();
        return bytes === null || harmless.includes(outcome(parse, bytes));
      }),
      { seed: 2, numRuns: 1000 },
    );
  });

  it.each([NaN, Infinity, -Infinity, -0.5, 2 ** 53])('has no %s among its whole numbers', (value) => {
    for (const message of examples) {
      for (const path of pathsOf(message)) {
        if (!['step', 'shard', 'id', 'samples', 'correct', 'protocol', 'seed'].includes(String(path.at(-1))))
          continue;
        expect(outcome(parse, encodeFrame(withField(message, path, value)))).toBe(CloseCode.malformed);
      }
    }
  });
});

describe('what a refused message is told', () => {
  it('names the field', () => {
    const frame = encodeFrame({ ...exampleHello, engine: { ...exampleHello.engine, threads: 0 } });
    expect(() => parseFromWorker(frame)).toThrow(/engine\.threads/);
  });

  it('says in words what is missing, wrong or unknown', () => {
    const nameless: Partial<Hello> = { ...exampleHello };
    delete nameless.name;
    const said = (message: object): unknown => {
      try {
        return parseFromWorker(encodeFrame(message));
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(said(nameless)).toBe('Not a message of this direction: hello lacks the field name.');
    expect(said({ ...exampleHello, protocol: 'one' })).toMatch(
      /hello has "one" in the field protocol; it should be number\.$/,
    );
    expect(said({ type: 'gradeint' })).toBe(
      "Not a message of this direction: no message has the type 'gradeint'.",
    );
    expect(said({ protocol: 1 })).toBe('Not a message: it needs a field type, which is text.');
  });

  it('does not quote more than a line of what was received', () => {
    const frame = encodeFrame({ ...exampleHello, protocol: 'x'.repeat(10_000) });
    expect(() => parseFromWorker(frame)).toThrow(/protocol/);
    expect(() => parseFromWorker(frame)).toThrow(/^.{0,500}$/);
  });
});

describe('a message to the coordinator', () => {
  it('fits into its header, however long its texts are', () => {
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

  it('is refused unread when its header is larger', () => {
    const keys = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, 1]));
    const frame = encodeFrame({ type: 'pong', id: 1, ...keys });
    expect(outcome(parseFromWorker, frame)).toBe(CloseCode.malformed);
    expect(() => parseFromWorker(frame)).toThrow(/the most is 16384 here/);
  });
});

describe('a sentence about what was received', () => {
  it.each([
    { type: '\u001b[2J\u001b[1;31mHACKED\r\n+ forged line' },
    { ...exampleHello, protocol: '\u001b[31m\u202e' },
    { ...exampleHello, engine: { backend: '\u009b2J\nforged' } },
  ])('has nothing in it that a terminal would act on', (message) => {
    // oxlint-disable-next-line no-control-regex -- that is what is looked for
    expect(() => parseFromWorker(encodeFrame(message))).toThrow(/^[^\u0000-\u001f\u007f-\u009f\u202e]+$/);
  });
});

describe('an answer', () => {
  it('has a result in the bucket with offset 0, and only there', () => {
    const result = { samples: 32, lossSum: 1.5, correct: 30, computeMs: 12.25 };
    const bucket = { type: 'gradient', step: 3, shard: 17, offset: 4 };
    expect(outcome(parseFromWorker, encodeFrame(bucket))).toBe('parsed');
    expect(outcome(parseFromWorker, encodeFrame({ ...bucket, offset: 0, result }))).toBe('parsed');
    expect(outcome(parseFromWorker, encodeFrame({ ...bucket, offset: 0 }))).toBe(CloseCode.malformed);
    expect(outcome(parseFromWorker, encodeFrame({ ...bucket, result }))).toBe(CloseCode.malformed);
  });

  it.each([NaN, Infinity])(
    'with a loss of %s is let through, to be refused with a code of its own',
    (lossSum) => {
      const gradient = fromWorkerExamples.find(({ type }) => type === 'gradient');
      const result = { samples: 32, lossSum, correct: 30, computeMs: 12.25 };
      const message = { ...gradient, offset: 0, result };
      expect(parseFromWorker(encodeFrame(message)).message).toEqual(message);
    },
  );
});

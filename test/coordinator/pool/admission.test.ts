import { describe, expect, it } from 'vitest';
import { admit, checkVersion, type AdmissionRules } from '../../../coordinator/pool/admission.ts';
import { CODECS } from '../../../shared/codec/registry.ts';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import { encodeFrame } from '../../../shared/protocol/frame.ts';
import type { Hello } from '../../../shared/protocol/messages.ts';
import { exampleHello } from '../../shared/protocol/examples.ts';

const codecNames = CODECS.map((codec) => codec.name);
const rules: AdmissionRules = { token: 'secret', maxWorkers: 3 };
const { type, protocol, name, engine, codecs } = exampleHello;
const withoutToken: Hello = { type, protocol, name, engine, codecs };

function refusal(
  hello: Hello,
  workers = 0,
  refusalRules: AdmissionRules = rules,
): readonly [number, string] | null {
  try {
    admit(hello, refusalRules, workers);
    return null;
  } catch (error) {
    if (error instanceof ProtocolError) return [error.code, error.message];
    throw error;
  }
}

describe('admit', () => {
  it('admits a worker with the token and a supported codec if a slot is free', () => {
    expect(admit(exampleHello, rules, 2)).toEqual({ up: 'float32', down: 'float32' });
  });

  it('admits workers with or without a token if the run has none', () => {
    expect(refusal(withoutToken, 0, { maxWorkers: 3 })).toBeNull();
    expect(refusal(exampleHello, 0, { maxWorkers: 3 })).toBeNull();
  });

  it.each(['', 'secre', 'secret ', 'Secret', 'secretsecret'])("refuses the wrong token '%s'", (token) => {
    const [code, sentence] = refusal({ ...exampleHello, token })!;
    expect(code).toBe(CloseCode.unauthorized);
    expect(sentence).toMatch(/^Wrong token\. .* or its --token\.$/);
  });

  it('refuses a worker without a token', () => {
    const [code, sentence] = refusal(withoutToken)!;
    expect(code).toBe(CloseCode.unauthorized);
    expect(sentence).toMatch(/^This run needs a token\. .* or --token\.$/);
  });

  it('treats an empty token as a token', () => {
    expect(refusal({ ...exampleHello, token: 'x' }, 0, { token: '', maxWorkers: 3 })?.[0]).toBe(
      CloseCode.unauthorized,
    );
  });

  it('refuses a worker without a free slot, with a code that lets the worker retry', () => {
    expect(refusal(exampleHello, 3)).toEqual([CloseCode.noFreeSlot, 'All 3 worker slots are in use.']);
    expect(refusal(exampleHello, 4)?.[0]).toBe(CloseCode.noFreeSlot);
  });

  it('refuses a worker without float32, and lists the supported codecs', () => {
    expect(refusal({ ...exampleHello, codecs: ['zip', 'FLOAT32'] })).toEqual([
      CloseCode.unsupported,
      `This worker does not support float32, as every worker must. The coordinator supports ${codecNames.join(', ')}.`,
    ]);
  });

  it('chooses the codecs regardless of their order in the hello', () => {
    const wanted = { up: 'int4', down: 'int8' };
    for (const order of [codecNames, codecNames.toReversed()]) {
      const hello = { ...exampleHello, codecs: ['zip', ...order] };
      expect(admit(hello, { ...rules, codecs: wanted }, 0)).toEqual(wanted);
      expect(admit(hello, rules, 0)).toEqual({ up: 'float32', down: 'float32' });
    }
  });

  it('uses float32 in each direction whose codec the worker does not support', () => {
    const lossyRules = { ...rules, codecs: { up: 'int4', down: 'int8' } };
    expect(admit(exampleHello, lossyRules, 0)).toEqual({ up: 'float32', down: 'float32' });
    const hello = { ...exampleHello, codecs: ['int8', 'float32'] };
    expect(admit(hello, lossyRules, 0)).toEqual({ up: 'float32', down: 'int8' });
    expect(refusal({ ...exampleHello, codecs: ['int4', 'int8'] }, 0, lossyRules)?.[0]).toBe(
      CloseCode.unsupported,
    );
  });

  it('reports only the wrong token, and no other reason to refuse the worker', () => {
    expect(refusal({ ...exampleHello, token: 'wrong', codecs: ['zip'] }, 99)?.[0]).toBe(
      CloseCode.unauthorized,
    );
  });
});

describe('checkVersion', () => {
  const check = (header: object) => () => checkVersion(encodeFrame(header));

  it.each([0, 1, 99, 1.5])(
    'refuses a hello of version %d regardless of its other fields, with advice',
    (protocol) => {
      for (const hello of [
        { ...exampleHello, protocol },
        { type: 'hello', protocol, later: true },
      ]) {
        expect(check(hello)).toThrow(
          `This coordinator uses protocol 2, the worker protocol ${protocol}. Use a worker for protocol 2, such as the coordinator's version of gradcast.`,
        );
        expect(check(hello)).toThrow(expect.objectContaining({ code: CloseCode.unsupported }));
      }
    },
  );

  it('accepts all other messages, which are validated later', () => {
    for (const header of [
      exampleHello,
      { type: 'hello' },
      { type: 'ready', protocol: 1 },
      { type: 'hello', protocol: '1' },
      [],
      {},
    ]) {
      expect(check(header)).not.toThrow();
    }
  });
});

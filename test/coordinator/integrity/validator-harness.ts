import {
  AnswerValidator,
  type AnswerValidatorOptions,
} from '../../../coordinator/integrity/answer-validator.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { fixedRandom } from '../../support/property.ts';
import type { Client } from '../pool/pool-harness.ts';
import { testRunner } from '../training/step-harness.ts';

export type Reference = AnswerValidatorOptions['referenceEngine'];

/** Gives the right answer to every shard: ones, a loss of one for each sample, one correct sample. */
export const correctReference: Reference = {
  open: () => Promise.resolve(),
  gradient: (_, __, { sampleNumbers }) =>
    Promise.resolve({ lossSum: sampleNumbers.length, metrics: [1], gradient: new Float32Array(6).fill(1) }),
  evaluate: (_, { sampleNumbers }) => Promise.resolve({ lossSum: sampleNumbers.length, metrics: [1] }),
  verifyEngine: () => Promise.resolve(null),
  close: () => Promise.resolve(),
};

interface Setting {
  readonly referenceEngine?: Reference;
  readonly audit?: number;
  readonly bucketOffsets?: readonly number[];
  readonly int4?: boolean;
  readonly samples?: number;
}

export function validatedRun({
  referenceEngine = correctReference,
  audit = 0,
  bucketOffsets = [0],
  int4 = false,
  samples = 8,
}: Setting = {}) {
  const made: { validator: AnswerValidator | null } = { validator: null };
  const codecs = int4 ? { up: 'int4', down: 'float32' } : undefined;
  const runner = testRunner(samples, bucketOffsets, codecs, ({ pool, clock }, warn) => {
    const report = { warn, info: warn };
    made.validator = new AnswerValidator({
      pool,
      clock,
      report,
      referenceEngine,
      audit,
      job: exampleJob,
      random: fixedRandom(),
    });
    return made.validator;
  });
  return { ...runner, validator: made.validator as unknown as AnswerValidator };
}

/** Answers the shards of a step until it is done, with the values of each client. @default ones */
export async function finish(
  round: { readonly result: unknown },
  clients: readonly Client[],
  values: ReadonlyMap<Client, readonly number[]> = new Map(),
): Promise<void> {
  const answered = new Set<number>();
  for (let turn = 0; turn < 20 && round.result === null; turn++) {
    for (const client of clients) {
      const shard = client.messages('shard').at(-1);
      if (client.closed !== null || shard === undefined || answered.has(shard.shard)) continue;
      answered.add(shard.shard);
      await client.answer({}, values.get(client));
    }
    await settle();
  }
}

export const ALL = [1, 1, 1, 1, 1, 1];
export const times = (factor: number): number[] => ALL.map((value) => factor * value);

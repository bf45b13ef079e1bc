import { availableParallelism } from 'node:os';
import { expect, test } from 'vitest';
import {
  restoreLegacyUtil,
  setNativeEnvironment,
  threadsPerWorker,
} from '../../../../worker-node/engine/native/load-native.ts';

test('by default the engine uses all cores; variables of the user stay', () => {
  const env: NodeJS.ProcessEnv = {};
  expect(setNativeEnvironment(env)).toBe(availableParallelism());
  expect(env).toMatchObject({
    TF_NUM_INTRAOP_THREADS: String(availableParallelism()),
    TF_CPP_MIN_LOG_LEVEL: '2',
    NVIDIA_TF32_OVERRIDE: '0',
  });
  expect(setNativeEnvironment({ TF_NUM_INTRAOP_THREADS: '3' })).toBe(3);
  const loud: NodeJS.ProcessEnv = { TF_CPP_MIN_LOG_LEVEL: '0' };
  setNativeEnvironment(loud);
  expect(loud.TF_CPP_MIN_LOG_LEVEL).toBe('0');
  const fast: NodeJS.ProcessEnv = { NVIDIA_TF32_OVERRIDE: '1' };
  setNativeEnvironment(fast);
  expect(fast.NVIDIA_TF32_OVERRIDE).toBe('1');
});

test('workers of one machine share its cores', () => {
  expect([1, 2, 3, 8].map((workers) => threadsPerWorker(4, workers))).toEqual([4, 2, 1, 1]);
});

test('functions that newer Node versions have removed from util, or warn about, are restored without a warning', () => {
  const warns = (): never => {
    throw new Error('deprecated');
  };
  const inspect = (): boolean => true;
  const util: Record<string, unknown> = { isArray: warns, isNullOrUndefined: warns, inspect };
  restoreLegacyUtil(util);
  expect((util.isArray as (value: unknown) => boolean)([])).toBe(true);
  expect(util.inspect).toBe(inspect);
  const isNullOrUndefined = util.isNullOrUndefined as (value: unknown) => boolean;
  expect([null, undefined, 0].map(isNullOrUndefined)).toEqual([true, true, false]);
});

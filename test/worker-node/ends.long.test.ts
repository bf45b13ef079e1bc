import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeNative } from '../support/native.ts';
import type { TestCoordinator } from '../support/test-coordinator.ts';
import { endsCoordinator, WORKER_ENDS } from '../support/worker-ends.ts';

/** A library that is unloaded while it is in use crashes nearly every time; `npm run bench -- ends` runs each way 50 times. */
const TIMES = 2;

let coordinator: TestCoordinator;
beforeAll(async () => void (coordinator = await endsCoordinator()));
afterAll(() => coordinator.close('done'));

const endsOf = (engine: string): void => {
  test.each(WORKER_ENDS)('$name', async ({ expected, run }) => {
    for (let i = 0; i < TIMES; i++) {
      const { code, output } = await run(engine, coordinator);
      expect(expected, output).toContain(code);
      expect(output).not.toContain('starting it again');
      expect(output.match(/cannot take part/g)?.length ?? 0).toBeLessThanOrEqual(2);
    }
  });
};

describe('a worker on WebAssembly ends in order', () => endsOf('wasm'));
describeNative(() => describe('a worker on TensorFlow ends in order', () => endsOf('native')));

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeNative } from '../support/native.ts';
import { createExitEnvironment, EXIT_CASES, type ExitEnvironment } from '../support/worker-exits.ts';

/** A library that is unloaded while in use crashes nearly every time; `npm run bench -- worker-exits` runs each case 50 times. */
const TIMES = 2;

const endsOf = (engine: string): void => {
  let world: ExitEnvironment;
  beforeAll(async () => void (world = await createExitEnvironment(engine)));
  afterAll(() => world.close());

  test.each(EXIT_CASES)('$name', async ({ expected, run }) => {
    for (let i = 0; i < TIMES; i++) {
      const { code, output } = await run(world);
      expect(expected, output).toContain(code);
      expect(output).not.toContain('starting it again');
      expect(output.match(/cannot take part/g)?.length ?? 0).toBeLessThanOrEqual(2);
      expect(await world.findLeftovers()).toEqual([]);
    }
  });
};

describe('with WebAssembly, exits cleanly and leaves no files', () => endsOf('wasm'));
describeNative(() => describe('ends in order and leaves nothing', () => endsOf('native')));

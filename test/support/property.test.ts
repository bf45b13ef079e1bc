import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkProperty, testSeed } from './property.ts';

const printed: string[] = [];

beforeEach(() => {
  vi.stubEnv('GRADCAST_TEST_SEEDS', '');
  vi.stubEnv('GRADCAST_TEST_RUNS', undefined);
  printed.length = 0;
  vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** Checks a property and returns its inputs. */
function inputsOf(settings: Parameters<typeof checkProperty<[number]>>[1]): number[] {
  const inputs: number[] = [];
  checkProperty(
    fc.property(fc.nat(), (value) => void inputs.push(value)),
    settings,
  );
  return inputs;
}

describe('checkProperty', () => {
  it('draws the same inputs for the same seed and others for another seed, and prints nothing', () => {
    const inputs = inputsOf({ seed: 5, numRuns: 20 });
    expect(inputs).toHaveLength(20);
    expect(inputsOf({ seed: 5, numRuns: 20 })).toEqual(inputs);
    expect(inputsOf({ seed: 6, numRuns: 20 })).not.toEqual(inputs);
    expect(printed).toEqual([]);
  });

  it('tries the examples first', () => {
    expect(inputsOf({ seed: 5, numRuns: 4, examples: [[7], [8]] }).slice(0, 2)).toEqual([7, 8]);
  });

  it('draws a new seed and prints it if GRADCAST_TEST_SEEDS is new', () => {
    vi.stubEnv('GRADCAST_TEST_SEEDS', 'new');
    const inputs = inputsOf({ seed: 5 });
    const again = inputsOf({ seed: 5 });
    expect(again).not.toEqual(inputs);
    const seeds = printed.map((line) => /^seed (\d+): .*prints it if GRADCAST_TEST_SEEDS/.exec(line)?.[1]);
    expect(seeds).toHaveLength(2);

    vi.stubEnv('GRADCAST_TEST_SEEDS', seeds[0]);
    expect(inputsOf({ seed: 5 })).toEqual(inputs);
    vi.stubEnv('GRADCAST_TEST_SEEDS', '');
    expect(inputsOf({ seed: Number(seeds[1]) })).toEqual(again);
  });

  it('multiplies the number of runs by GRADCAST_TEST_RUNS', () => {
    expect(inputsOf({ seed: 5 })).toHaveLength(100);
    vi.stubEnv('GRADCAST_TEST_RUNS', '2.5');
    expect(inputsOf({ seed: 5 })).toHaveLength(250);
    expect(inputsOf({ seed: 5, numRuns: 3 })).toHaveLength(8);
  });

  it('fails with the seed if the property fails, and awaits an asynchronous property', async () => {
    const check = (): void =>
      checkProperty(
        fc.property(fc.nat(), (value) => value < 1),
        { seed: 42 },
      );
    expect(check).toThrow(/seed: 42/);
    const later = fc.asyncProperty(fc.nat(), (value) => Promise.resolve(value < 1));
    await expect(checkProperty(later, { seed: 43 })).rejects.toThrow(/seed: 43/);
  });

  it.each(['yes', '1.5'])('rejects %s as a seed', (text) => {
    vi.stubEnv('GRADCAST_TEST_SEEDS', text);
    expect(() => testSeed(1)).toThrow(/GRADCAST_TEST_SEEDS/);
  });

  it.each(['0', '-1', 'many'])('rejects %s as the factor of runs', (text) => {
    vi.stubEnv('GRADCAST_TEST_RUNS', text);
    expect(() => inputsOf({ seed: 1 })).toThrow(/GRADCAST_TEST_RUNS/);
  });
});

it('fixedRandom returns the same streams in each run of a file, and another stream for each call', async () => {
  const drawTwice = async (): Promise<number[][]> => {
    vi.resetModules();
    const { fixedRandom } = await import('./property.ts');
    return [1, 2].map(() => Array.from({ length: 5 }, fixedRandom()));
  };
  const [first, second] = await drawTwice();
  expect(await drawTwice()).toEqual([first, second]);
  expect(second).not.toEqual(first);
  expect([...first!, ...second!].every((value) => value >= 0 && value < 1)).toBe(true);
});

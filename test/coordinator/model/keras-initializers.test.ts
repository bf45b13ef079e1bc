import { expect, test } from 'vitest';
import { initializerCases } from '../../support/conformance/initializer-cases.ts';

test.each(initializerCases().map((each) => [each.name, each] as const))(
  'initial weights by %s have the distribution of Keras',
  async (_, each) => {
    expect(await each.measure()).toBeLessThan(each.bound);
  },
);

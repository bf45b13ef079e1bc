import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openChromium } from '../support/chromium.ts';
import { bundleGpuPage, openGpuPage } from '../support/conformance/gpu-page.ts';
import type { CaseAnswer } from '../support/conformance/serve-cases.ts';
import { listStepCases, oneOfEveryKind, type ListedCase } from '../support/conformance/step-cases.ts';
import { gradientBound, LOSS_BOUND } from '../support/conformance/bounds.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { kinds } from '../support/layer-cases.ts';

/** A software GPU is slow on a busy machine. */
const TIMEOUT_MS = 600_000;
const BACKENDS = ['webgl', 'webgpu'] as const;

/** Cases that a GPU backend of tfjs computes wrongly where gradcast does not correct it. */
const CORRECTED = [
  'MaxPooling3D same',
  'Keras 3: Conv3D same, dilated',
  'Keras 3: Conv3DTranspose valid',
  'Keras 3: Masking, LSTM',
  'Keras 3: Embedding, GRU',
  'Keras 3: RandomRotation constant bilinear',
];

/** One case of each layer, activation and loss, and those for which tfjs needs a correction; `npm run conformance` has all. */
function chooseCases(): ListedCase[] {
  const all = listStepCases();
  const names = new Set([...CORRECTED, ...kinds.map(({ name }) => name)]);
  const isNamed = ({ name }: ListedCase): boolean => names.has(name);
  const named = all.filter(isNamed);
  // A layer that one of these has needs no other.
  const ofEveryKind = oneOfEveryKind([...named, ...all.filter((each) => !isNamed(each))]);
  return [...new Set([...named, ...ofEveryKind])];
}

describeInBrowser('layers and losses on a GPU in a browser', () => {
  let browser: Browser;
  let script: string;

  beforeAll(async () => {
    script = await bundleGpuPage();
    browser = await openChromium();
  }, TIMEOUT_MS);
  afterAll(() => browser.close());

  test(
    'loss and gradient on WebGL and WebGPU are those of Keras',
    async () => {
      const pages = await Promise.all(BACKENDS.map((backend) => openGpuPage(browser, script, backend)));
      for (const each of chooseCases()) {
        const prepared = await each.prepare();
        const results = await Promise.all(pages.map((page) => page.measure(prepared)));
        results.forEach((result, i) => {
          const label = `${each.name} on ${BACKENDS[i]!}`;
          if ('failed' in result) expect.fail(`${label}: ${result.failed}`);
          expect(result.loss, label).toBeLessThan(LOSS_BOUND);
          expect(result.gradient, label).toBeLessThan(gradientBound(each));
        });
      }
      await Promise.all(pages.map((page) => page.close()));
    },
    TIMEOUT_MS,
  );

  test(
    'an engine on WebGPU ends when a shader does not compile, and answers nothing, since its output would be arbitrary',
    async () => {
      const [first] = chooseCases();
      const prepared = await first!.prepare();
      const opened = await openGpuPage(browser, script, 'webgpu');
      const { answer, reasons } = await opened.page.evaluate<{ answer: CaseAnswer; reasons: string[] }>(
        `breakShader(${JSON.stringify(prepared)})`,
      );
      await opened.close();
      expect(reasons.join()).toContain('the GPU cannot compute an operation');
      expect('failed' in answer ? answer.failed : '').toContain(
        'The engine was lost: the GPU cannot compute',
      );
    },
    TIMEOUT_MS,
  );
});

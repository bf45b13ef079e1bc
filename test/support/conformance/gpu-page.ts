import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import type { Engine } from '../../../shared/engine/engine.ts';
import type { CaseResult, StepCase } from './measure-case.ts';

/** A secure context, which WebGPU requires. The page answers every request itself. */
const ORIGIN = 'http://localhost/';

export type GpuBackend = 'webgl' | 'webgpu';

/** Page with an engine on a GPU. */
export interface GpuPage {
  readonly page: Page;
  readonly info: Engine['info'];
  measure(each: StepCase): Promise<CaseResult | { readonly failed: string }>;
  close(): Promise<void>;
}

/** Bundles the script of the page. */
export async function bundleGpuPage(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [new URL('../../browser/layers-page.js', import.meta.url).pathname],
    ...({ bundle: true, write: false, format: 'iife', platform: 'browser', logLevel: 'error' } as const),
  });
  return outputFiles[0]?.text ?? '';
}

/** Opens a page with an engine. @param script as bundleGpuPage returns it @throws Error if there is no such backend */
export async function openGpuPage(browser: Browser, script: string, backend: GpuBackend): Promise<GpuPage> {
  const page = await browser.newPage();
  await page.route('**/*', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
  await page.goto(ORIGIN);
  await page.addScriptTag({ content: script });
  const info = await page.evaluate<Engine['info']>(`openEngine('${backend}')`);
  return {
    page,
    info,
    measure: (each) => page.evaluate(`measure(${JSON.stringify(each)})`),
    close: () => page.close(),
  };
}

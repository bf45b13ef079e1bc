import { chromium, type Browser } from 'playwright-core';
import { findBrowser } from '../../scripts/browser.js';

/** The browser that tests run in, if there is one. GRADCAST_CHROMIUM names another. */
export const chromiumPath: string | null = findBrowser();

const QUIET = [
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];

/** What makes Chromium compute WebGL and WebGPU on the processor, and leave the network alone. */
export const GPU_IN_SOFTWARE: readonly string[] = [
  ...['--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
  ...['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  ...['--enable-features=Vulkan', '--use-vulkan=swiftshader'],
  ...QUIET,
];

/** No GPU at all, whose trial would take the time that a page is to draw in. */
export const NO_GPU: readonly string[] = ['--disable-3d-apis', ...QUIET];

/** Headless Chromium. Close it. */
export function openChromium(flags: readonly string[] = GPU_IN_SOFTWARE): Promise<Browser> {
  if (chromiumPath === null) throw new Error('There is no Chromium here.');
  return chromium.launch({ executablePath: chromiumPath, args: [...flags], headless: true });
}

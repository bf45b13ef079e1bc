import { chromium, type Browser } from 'playwright-core';
import { findBrowser } from '../../scripts/browser.js';

/** Path of the browser that tests run in, or null. GRADCAST_CHROMIUM overrides it. */
export const chromiumPath: string | null = findBrowser();

const QUIET = [
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];

/** Flags with which Chromium computes WebGL and WebGPU on the processor and makes no requests of its own. */
export const GPU_IN_SOFTWARE: readonly string[] = [
  ...['--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
  ...['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  ...['--enable-features=Vulkan', '--use-vulkan=swiftshader'],
  ...QUIET,
];

/** Flags without any GPU, for pages that must not spend time on its benchmark. */
export const NO_GPU: readonly string[] = ['--disable-3d-apis', ...QUIET];

/** Opens headless Chromium. The caller closes it. */
export function openChromium(flags: readonly string[] = GPU_IN_SOFTWARE): Promise<Browser> {
  if (chromiumPath === null) throw new Error('No Chromium is installed.');
  return chromium.launch({ executablePath: chromiumPath, args: [...flags], headless: true });
}

import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

const PLACES = [
  process.env.GRADCAST_CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** The browser that tests run in, if there is one. GRADCAST_CHROMIUM names another. */
export const chromiumPath: string | null = PLACES.find((path) => path && existsSync(path)) ?? null;

/** What makes Chromium compute WebGL and WebGPU on the processor, and leave the network alone. */
export const CHROMIUM_FLAGS: readonly string[] = [
  ...['--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
  ...['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  ...['--enable-features=Vulkan', '--use-vulkan=swiftshader'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];

/** Headless Chromium with GPUs in software. Close it. */
export function openChromium(): Promise<Browser> {
  if (chromiumPath === null) throw new Error('There is no Chromium here.');
  return chromium.launch({ executablePath: chromiumPath, args: [...CHROMIUM_FLAGS], headless: true });
}

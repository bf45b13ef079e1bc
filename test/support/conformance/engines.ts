import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { chromiumPath, openChromium } from '../chromium.ts';
import { softwareGpuEnv } from '../software-gpu.ts';
import { bundleGpuPage, openGpuPage, type GpuBackend } from './gpu-page.ts';
import type { StepCase } from './measure-case.ts';
import type { CaseAnswer, EngineStatus } from './serve-cases.ts';

export const ENGINES = ['native', 'wasm', 'webgl', 'webgpu'] as const;
export type EngineName = (typeof ENGINES)[number];

/** Engine on which cases are computed, one after the other. */
export interface TableEngine {
  readonly status: EngineStatus;
  measure(each: StepCase): Promise<CaseAnswer>;
  close(): Promise<void>;
}

const missingEngine = (missing: string): TableEngine => ({
  status: { missing },
  measure: () => Promise.resolve({ failed: missing }),
  close: () => Promise.resolve(),
});

/** Opens an engine in a process of its own. */
async function openProcess(engine: 'native' | 'wasm' | 'webgpu'): Promise<TableEngine> {
  const child = fork(fileURLToPath(new URL('engine-process.js', import.meta.url)), [engine], {
    // NaN and Infinity are not JSON.
    serialization: 'advanced',
    // With more threads, the bits of a result depend on the machine's cores.
    env: {
      ...process.env,
      ...(engine === 'webgpu' ? softwareGpuEnv() : {}),
      TF_CPP_MIN_LOG_LEVEL: '3',
      TF_NUM_INTRAOP_THREADS: '1',
    },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`The process of ${engine} ended with ${String(code)}.`);
  });
  ended.catch(() => undefined);
  const receive = async (): Promise<unknown> => {
    const [message] = (await Promise.race([once(child, 'message'), ended])) as unknown[];
    return message;
  };
  const status = (await receive()) as EngineStatus;
  return {
    status,
    measure(each) {
      child.send(each);
      return receive() as Promise<CaseAnswer>;
    },
    async close() {
      if (child.exitCode !== null) return;
      const exit = once(child, 'exit');
      child.kill();
      await exit;
    },
  };
}

/** Opens an engine in a browser of its own, so that two engines do not wait for one GPU process. */
async function openBrowser(backend: GpuBackend, script: string): Promise<TableEngine> {
  let browser: Browser | undefined;
  try {
    browser = await openChromium();
    const page = await openGpuPage(browser, script, backend);
    const opened = browser;
    return {
      status: { info: page.info },
      measure: (each) => page.measure(each),
      close: () => opened.close(),
    };
  } catch (error) {
    await browser?.close();
    return missingEngine(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error));
  }
}

/** Opens the named engines; those that this machine lacks say why. */
export async function openEngines(names: readonly EngineName[]): Promise<Map<EngineName, TableEngine>> {
  const needsBrowser = names.includes('webgl');
  const script = needsBrowser && chromiumPath !== null ? await bundleGpuPage() : '';
  const opened = names.map(async (name) => {
    if (name !== 'webgl') return [name, await openProcess(name)] as const;
    if (chromiumPath !== null) return [name, await openBrowser(name, script)] as const;
    return [name, missingEngine('no browser is installed: run node scripts/get-browser.js')] as const;
  });
  return new Map(await Promise.all(opened));
}

import * as tf from '@tensorflow/tfjs';
import { setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import type { Engine } from '../shared/engine/engine.ts';
import { createEngine } from '../shared/engine/tf-engine.ts';
import { registerWasmKernels } from '../shared/kernels/wasm/register.ts';

/** An engine, and why no other one was taken. */
export interface OpenedEngine {
  readonly engine: Engine;
  readonly why: string;
}

/**
 * The engine of this tab: WebAssembly, or WebGL where that does not start.
 * @param wasmFolder address of the folder with tfjs' .wasm files, with a slash at its end
 * @throws Error with a sentence if the browser has neither
 */
export async function openEngine(wasmFolder: string): Promise<OpenedEngine> {
  tf.enableProdMode();
  try {
    return { engine: await openWasm(wasmFolder), why: 'runs in every browser' };
  } catch (noWasm) {
    const why = `WebAssembly does not start here: ${sentenceOf(noWasm)}`;
    try {
      return { engine: await openWebGl(), why };
    } catch (noWebGl) {
      throw new Error(
        `This browser cannot compute. ${why}; nor does WebGL: ${sentenceOf(noWebGl)}. Update the browser or try another one.`,
        { cause: noWebGl },
      );
    }
  }
}

async function openWasm(wasmFolder: string): Promise<Engine> {
  setWasmPaths(wasmFolder);
  setThreadsCount(1);
  // tfjs would load its threaded build also for one thread; that one starts its threads from blob: addresses,
  // which the page's content security policy does not let through.
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  await start('wasm');
  registerWasmKernels(tf);
  const cores = navigator.hardwareConcurrency;
  return createEngine(tf, {
    backend: 'wasm',
    version: tf.version.tfjs,
    device: cores > 1 ? `CPU with ${cores} cores` : 'CPU',
    threads: 1,
  });
}

async function openWebGl(): Promise<Engine> {
  await start('webgl');
  if (tf.env().get('WEBGL_RENDER_FLOAT32_ENABLED') !== true) {
    throw new Error('its numbers have 16 bits, too few for a gradient');
  }
  return createEngine(tf, { backend: 'webgl', version: tf.version.tfjs, device: gpuName(), threads: 1 });
}

async function start(backend: string): Promise<void> {
  if (!(await tf.setBackend(backend))) throw new Error(`the backend ${backend} cannot be set up`);
  await tf.ready();
}

/** The GPU by the name that its driver gives it, as far as the browser tells. */
function gpuName(): string {
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  const names = gl?.getExtension('WEBGL_debug_renderer_info');
  if (!gl || !names) return 'GPU';
  const name: unknown = gl.getParameter(names.UNMASKED_RENDERER_WEBGL);
  if (typeof name !== 'string' || name === '') return 'GPU';
  // Chrome writes: ANGLE (maker, device, driver).
  return name.replace(/^ANGLE \([^,]*, (.*), [^,]*\)$/, '$1').slice(0, 200);
}

const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

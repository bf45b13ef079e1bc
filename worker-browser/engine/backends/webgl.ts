import { createEngine } from '../../../shared/engine/tf-engine.ts';
import type { OpenedBackend } from './opened-backend.ts';
import { startBackend, tf } from './tf.ts';
import '@tensorflow/tfjs-backend-webgl';

/** Used part of tfjs' MathBackendWebGL. */
interface WebGlBackend {
  readonly gpgpu: { readonly gl: WebGL2RenderingContext };
}

/** @throws Error with a sentence if there is no WebGL with float32 */
export async function openWebGl(): Promise<OpenedBackend> {
  await startBackend('webgl');
  if (tf.env().get('WEBGL_RENDER_FLOAT32_ENABLED') !== true) {
    throw new Error('its numbers have 16 bits, too few for a gradient');
  }
  const { gl } = (tf.backend() as unknown as WebGlBackend).gpgpu;
  const info = { backend: 'webgl', version: tf.version.tfjs, device: gpuName(gl), threads: 1 };
  return {
    engine: createEngine(tf, info),
    onLost: (callback) =>
      gl.canvas.addEventListener('webglcontextlost', () => callback('the browser took the GPU away')),
  };
}

/** Name of the GPU, if the browser reveals it. */
function gpuName(gl: WebGL2RenderingContext): string {
  const names = gl.getExtension('WEBGL_debug_renderer_info');
  const name: unknown = names === null ? '' : gl.getParameter(names.UNMASKED_RENDERER_WEBGL);
  if (typeof name !== 'string' || name === '') return 'GPU';
  // Chrome writes: ANGLE (maker, device, driver).
  return name.replace(/^ANGLE \([^,]*, (.*), [^,]*\)$/, '$1').slice(0, 150);
}

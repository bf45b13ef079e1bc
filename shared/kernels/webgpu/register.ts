import type { KernelConfig, KernelFunc } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { FusedKernel } from '../fused-ops.ts';
import { biasedConvolution, biasedConvolutionGradFilter, biasedConvolutionGradInput } from './convolution.ts';
import { correctWebGpuKernels } from './corrections.ts';
import { dropout } from './dropout.ts';
import { maxPoolGrad } from './max-pool-grad.ts';
import { softmaxCrossEntropyGrad } from './softmax-grad.ts';

const registered = new WeakSet<object>();

/**
 * Registers gradcast's kernels for tfjs' WebGPU backend, and corrects those of tfjs. The backend must be imported before. May be
 * called again.
 */
export function registerWebGpuKernels(tf: TF): void {
  if (registered.has(tf.engine())) return;
  registered.add(tf.engine());
  correctWebGpuKernels(tf);
  const kernels: Record<string, KernelFunc> = {
    [FusedKernel.convolution]: biasedConvolution(tf),
    [FusedKernel.gradInput]: biasedConvolutionGradInput(tf),
    [FusedKernel.gradFilter]: biasedConvolutionGradFilter(tf),
    [FusedKernel.softmaxGrad]: softmaxCrossEntropyGrad(tf),
    [FusedKernel.dropout]: dropout(tf),
    MaxPoolGrad: maxPoolGrad(tf),
  };
  for (const [kernelName, kernelFunc] of Object.entries(kernels)) {
    const current = tf.getKernel(kernelName, 'webgpu') as KernelConfig | undefined;
    if (current !== undefined) tf.unregisterKernel(kernelName, 'webgpu');
    tf.registerKernel({ kernelName, backendName: 'webgpu', kernelFunc });
  }
}

import type { DataType, GradConfig, KernelConfig } from '@tensorflow/tfjs';
import { type KernelFunc, type WasmBackend, type TensorInfo, kernelFunc } from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { FusedKernel, RELU_GRAD } from '../fused-ops.ts';
import {
  biasedConvolution,
  biasedConvolutionGradFilter,
  biasedConvolutionGradInput,
} from './biased-convolution.ts';
import { batchMatMul, fusedMatMul } from './mat-mul.ts';
import { conv2d, fusedConv2d } from './conv2d.ts';
import { conv2dBackpropFilter } from './conv2d-backprop-filter.ts';
import { conv2dBackpropInput } from './conv2d-backprop-input.ts';
import { depthwiseBackpropFilter, depthwiseBackpropInput } from './depthwise-backprop.ts';
import { maxPoolGrad } from './max-pool-grad.ts';
import { dropout, reluGrad, reluGradGradient, reluGradient } from './elementwise.ts';
import {
  pooledConvolution,
  pooledConvolutionGradFilter,
  pooledConvolutionGradInput,
} from './pooled-convolution.ts';
import { withExplicitPadding } from './same-padding.ts';
import { fusesMultiplyAdd, type SimdKernels, simdKernels } from './simd.ts';
import { sum, unsortedSegmentSum } from './sums.ts';
import { transform } from './transform.ts';
import { conv3dBackpropFilter, conv3dBackpropInput, maxPool3d, maxPool3dGrad } from './volumes.ts';

export interface WasmKernelOptions {
  /** False disables gradcast's own WebAssembly, as on a platform without SIMD. Default true. */
  readonly simd?: boolean;
  /**
   * False rounds products before they are added, which has the same bits wherever there is SIMD. True rounds once where the
   * platform can (`fusesMultiplyAdd`), which is faster. Default true.
   */
  readonly multiplyAdd?: boolean;
}

/** Kernels and gradient that tfjs had registered, so that a second registration starts from the same state. */
interface Stock {
  readonly kernels: Map<string, KernelConfig>;
  readonly relu: GradConfig;
}

const stockKernels = new WeakMap<object, Stock>();

/**
 * Registers the kernels that training lacks on tfjs' WebAssembly backend, and faster ones for others. The backend must be
 * imported before, but need not be started; pools are computed together with convolutions, and dropout in one op, only if it is. Replaces kernels of backend 'wasm' and the gradient of Relu, which stays tfjs'
 * own on other backends. May be called again, also with other options.
 */
export function registerWasmKernels(tf: TF, options: WasmKernelOptions = {}): void {
  const { simd: hasSimd = true, multiplyAdd = true } = options;
  const simd = (backend: WasmBackend) => (hasSimd ? simdKernels(backend, multiplyAdd) : null);
  const stock = stockKernels.get(tf.engine()) ?? captureStock(tf);
  stockKernels.set(tf.engine(), stock);
  for (const [kernelName, make] of Object.entries(factories)) {
    const config = stock.kernels.get(kernelName);
    const kernelFunc = make(tf, config?.kernelFunc ?? missingKernel(kernelName), simd);
    // tfjs' setup still has to run, because it binds the function of the fallback.
    replaceKernel(tf, { ...config, kernelName, backendName: 'wasm', kernelFunc });
  }
  const backend = tf.findBackend('wasm') as unknown as WasmBackend | null;
  const isSimd = backend !== null && simd(backend) !== null;
  for (const [kernelName, make] of Object.entries(simdFactories)) {
    if (tf.getKernel(kernelName, 'wasm') as KernelConfig | undefined) tf.unregisterKernel(kernelName, 'wasm');
    if (isSimd) tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc: make(simd) });
  }
  replaceGradient(tf, reluGradient(tf, stock.relu));
  replaceGradient(tf, reluGradGradient(tf));
}

/** Version of a WebAssembly engine for people, which also says whether its kernels fuse multiply-add: `4.22.0 with FMA`. */
export const wasmVersion = (tf: TF, multiplyAdd = true): string =>
  `${tf.version.tfjs}${multiplyAdd && fusesMultiplyAdd() ? ' with FMA' : ''}`;

type Factory = (tf: TF, stock: KernelFunc, simd: (backend: WasmBackend) => SimdKernels | null) => KernelFunc;

const factories: Record<string, Factory> = {
  BatchMatMul: batchMatMul,
  [FusedKernel.convolution]: (tf, _stock, simd) => biasedConvolution(tf, simd),
  [FusedKernel.gradInput]: biasedConvolutionGradInput,
  [FusedKernel.gradFilter]: (tf, _stock, simd) => biasedConvolutionGradFilter(tf, simd),
  Cast: cast,
  Conv2D: conv2d,
  Conv2DBackpropFilter: (tf, _stock, simd) => conv2dBackpropFilter(tf, simd),
  Conv2DBackpropInput: conv2dBackpropInput,
  Conv3DBackpropFilterV2: conv3dBackpropFilter,
  Conv3DBackpropInputV2: conv3dBackpropInput,
  DepthwiseConv2dNative: (tf, stock) => withExplicitPadding(tf, stock, true),
  DepthwiseConv2dNativeBackpropFilter: depthwiseBackpropFilter,
  DepthwiseConv2dNativeBackpropInput: depthwiseBackpropInput,
  _FusedMatMul: fusedMatMul,
  FusedConv2D: fusedConv2d,
  FusedDepthwiseConv2D: (tf, stock) => withExplicitPadding(tf, stock, true),
  Identity: identity,
  MaxPool3D: maxPool3d,
  MaxPool3DGrad: maxPool3dGrad,
  MaxPoolGrad: maxPoolGrad,
  [RELU_GRAD]: (tf, _stock, simd) => reluGrad(tf, simd),
  Sum: sum,
  Transform: transform,
  UnsortedSegmentSum: unsortedSegmentSum,
};

/** Kernels without a form that works without SIMD. */
const simdFactories: Record<string, (simd: (backend: WasmBackend) => SimdKernels | null) => KernelFunc> = {
  [FusedKernel.pooled]: pooledConvolution,
  [FusedKernel.pooledGradInput]: pooledConvolutionGradInput,
  [FusedKernel.pooledGradFilter]: pooledConvolutionGradFilter,
  [FusedKernel.dropout]: dropout,
};

function captureStock(tf: TF): Stock {
  const kernels = new Map(tf.getKernelsForBackend('wasm').map((config) => [config.kernelName, config]));
  if (kernels.size === 0) {
    throw new Error("Import '@tensorflow/tfjs-backend-wasm' before registering kernels for it.");
  }
  return { kernels, relu: tf.getGradient('Relu') };
}

function missingKernel(name: string): KernelFunc {
  return () => {
    throw new Error(`tfjs' WebAssembly backend has no kernel ${name} to fall back to.`);
  };
}

function replaceKernel(tf: TF, config: KernelConfig): void {
  const current = tf.getKernel(config.kernelName, 'wasm') as KernelConfig | undefined;
  if (current !== undefined) tf.unregisterKernel(config.kernelName, 'wasm');
  tf.registerKernel(config);
}

function replaceGradient(tf: TF, config: GradConfig): void {
  const current = tf.getGradient(config.kernelName) as GradConfig | undefined;
  if (current !== undefined) tf.unregisterGradient(config.kernelName);
  tf.registerGradient(config);
}

interface IdentityInputs {
  readonly x: TensorInfo;
}

/**
 * Identity: the same values under a second reference, as on tfjs' other backends. The stock kernel copies the values, and
 * tfjs clones every tensor that it saves for the backward pass.
 */
export function identity(): KernelFunc {
  return kernelFunc<IdentityInputs, object>(({ inputs, backend }) => {
    const { dataId, shape, dtype } = inputs.x;
    (backend as WasmBackend & { incRef(dataId: object): void }).incRef(dataId);
    return { dataId, shape, dtype };
  });
}

interface CastAttrs {
  readonly dtype: DataType;
}

/** Cast: to the type that the values have, the same values under a second reference. The stock kernel copies them. */
export function cast(_tf: TF, stock: KernelFunc): KernelFunc {
  const share = identity();
  return kernelFunc<IdentityInputs, CastAttrs>((call) => {
    const { inputs, attrs } = call;
    const func = inputs.x.dtype === attrs.dtype ? share : stock;
    return func(call as unknown as Parameters<KernelFunc>[0]);
  });
}

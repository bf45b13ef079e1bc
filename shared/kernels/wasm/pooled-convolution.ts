import type { KernelFunc, TensorInfo, WasmBackend } from './backend.ts';
import { kernelFunc, pointerOf, withScratch } from './backend.ts';
import type { ConvolutionAttrs } from '../fused-ops.ts';
import { infoOf } from './biased-convolution.ts';
import type { ConvolutionInfo } from './conv-info.ts';
import type { SimdKernels } from './simd.ts';
import { forwardSizes, withWinograd, type Sizes } from './winograd.ts';

// Convolution with bias and ReLU, then a max-pool of 2 x 2. The convolution's output is never stored: each of Winograd's tiles is one
// of the pool's windows. At most one output of four has a gradient, so its gradients are sums over those alone.

type Simd = (backend: WasmBackend) => SimdKernels | null;

/** Sizes of the convolution without the row and column that the pool drops. */
function pooledSizes(info: ConvolutionInfo): Sizes {
  const sizes = forwardSizes(info);
  if (sizes === null) throw new Error('This convolution cannot be computed together with its pool.');
  const { height, width, channels } = sizes.to;
  return { ...sizes, to: { height: height - (height % 2), width: width - (width % 2), channels } };
}

function kernelsOf(simd: Simd, backend: WasmBackend): SimdKernels {
  const kernels = simd(backend);
  if (kernels === null) throw new Error('A convolution together with its pool needs SIMD.');
  return kernels;
}

interface ForwardInputs {
  readonly x: TensorInfo;
  readonly filter: TensorInfo;
  readonly bias: TensorInfo;
}

/**
 * PooledConvolution: x [samples, height, width, channels], filter [3, 3, channels, filters] and bias [filters] to the pool's output
 * [samples, outHeight / 2, outWidth / 2, filters] and the places of the largest values, one byte each. The second tensor's shape does not
 * say so.
 */
export function pooledConvolution(simd: Simd): KernelFunc {
  return kernelFunc<ForwardInputs, ConvolutionAttrs>(({ inputs, attrs, backend }) => {
    const { x, filter, bias } = inputs;
    const kernels = kernelsOf(simd, backend);
    const info = infoOf(attrs, x.shape[0] ?? 0);
    const { outHeight, outWidth, outChannels } = info;
    const pooled = [Math.floor(outHeight / 2), Math.floor(outWidth / 2), outChannels] as const;
    const y = backend.makeOutput([info.batchSize, ...pooled], 'float32');
    const winners = backend.makeOutput([info.batchSize, ...pooled], 'bool');
    const epilogue = { bias: pointerOf(backend, bias), relu: attrs.relu };
    withWinograd(kernels, backend, pointerOf(backend, filter), pooledSizes(info), epilogue, (convolve) => {
      convolve(pointerOf(backend, x), pointerOf(backend, y), info.batchSize, pointerOf(backend, winners));
    });
    // The tape makes zeros of a tensor's size for an output that has no gradient. The gradients' kernels know the size.
    return [y, { ...winners, shape: [] }];
  });
}

interface GradInputs {
  /** Gradient of the pool's output. */
  readonly dy: TensorInfo;
  readonly winners: TensorInfo;
}

/** Runs `use` with the sizes that both gradients take, and scratch memory for one of them. */
function withSizes<T>(
  kernels: SimdKernels,
  backend: WasmBackend,
  info: ConvolutionInfo,
  use: (sizes: PooledSizes, scratch: number) => T,
): T {
  const { batchSize, inHeight, inWidth, inChannels, outChannels, outHeight, outWidth, padInfo } = info;
  const output = [outChannels, outHeight, outWidth] as const;
  const sizes = [batchSize, inHeight, inWidth, inChannels, ...output, padInfo.top, padInfo.left] as const;
  return withScratch(backend, kernels.pooledScratchBytes(inChannels, ...output), (scratch) =>
    use(sizes, scratch),
  );
}

/** Batch; height, width and channels of the input; filters; height and width of the output; zeros at the top and the left. */
type PooledSizes = readonly [number, number, number, number, number, number, number, number, number];

/** PooledConvolutionGradInput: gradient of the convolution's input. */
export function pooledConvolutionGradInput(simd: Simd): KernelFunc {
  return kernelFunc<GradInputs & { readonly filter: TensorInfo }, ConvolutionAttrs>(
    ({ inputs, attrs, backend }) => {
      const kernels = kernelsOf(simd, backend);
      const info = infoOf(attrs, inputs.dy.shape[0] ?? 0);
      return withSizes(kernels, backend, info, (sizes, scratch) => {
        const dx = backend.makeOutput([...info.inShape], 'float32');
        const [dy, winners, filter, to] = [inputs.dy, inputs.winners, inputs.filter, dx].map((tensor) =>
          pointerOf(backend, tensor),
        ) as [number, number, number, number];
        kernels.pooledInputGradient(dy, winners, filter, to, ...sizes, scratch);
        return dx;
      });
    },
  );
}

/** PooledConvolutionGradFilter: gradients of the filter and of the bias. */
export function pooledConvolutionGradFilter(simd: Simd): KernelFunc {
  return kernelFunc<GradInputs & { readonly x: TensorInfo }, ConvolutionAttrs>(
    ({ inputs, attrs, backend }) => {
      const kernels = kernelsOf(simd, backend);
      const info = infoOf(attrs, inputs.x.shape[0] ?? 0);
      return withSizes(kernels, backend, info, (sizes, scratch) => {
        const filter = backend.makeOutput([...info.filterShape], 'float32');
        const bias = backend.makeOutput([info.outChannels], 'float32');
        const [x, dy, winners] = [inputs.x, inputs.dy, inputs.winners].map((tensor) =>
          pointerOf(backend, tensor),
        ) as [number, number, number];
        const [byFilter, byBias] = [pointerOf(backend, filter), pointerOf(backend, bias)];
        kernels.pooledFilterGradient(x, dy, winners, byFilter, byBias, ...sizes, scratch);
        return [filter, bias];
      });
    },
  );
}

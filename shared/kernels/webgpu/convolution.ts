import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import type { ConvolutionAttrs } from '../fused-ops.ts';
import { kernelFunc } from './backend.ts';
import { multiply } from './product.ts';

// Convolution with bias and ReLU, and its gradients, each as a product of matrices whose operands are gathered from the images
// (implicit im2col). A product with a dense layer's kernel is the convolution of images of one pixel.

const constants = ({ input, output, filter, strides, padding }: ConvolutionAttrs): string =>
  Object.entries({
    HEIGHT: input[0],
    WIDTH: input[1],
    CHANNELS: input[2],
    OUT_HEIGHT: output[0],
    OUT_WIDTH: output[1],
    FILTERS: output[2],
    TAPS_WIDE: filter[1],
    STRIDE_DOWN: strides[0],
    STRIDE_RIGHT: strides[1],
    TOP: padding[0],
    LEFT: padding[1],
    PIXELS: input[0] * input[1],
    OUT_PIXELS: output[0] * output[1],
  })
    .map(([name, value]) => `const ${name} = ${value}u;`)
    .join('\n');

const isMultipleOf4 = (value: number): boolean => value % 4 === 0;
/** Index of a value in an array of f32 or vec4f. */
const at = (isVector: boolean, index: string): string => (isVector ? `(${index}) / 4u` : index);
const zero = (isVector: boolean): string => (isVector ? 'vec4f()' : '0.0');
const type = (isVector: boolean): string => (isVector ? 'vec4f' : 'f32');

/** Function `pixel` of the input at a tap of an output's window; 0 outside the image. */
const gatherInput = (isVector: boolean): string => `
fn pixel(output: u32, tap: u32, channel: u32) -> ${type(isVector)} {
  let place = output % OUT_PIXELS;
  let row = place / OUT_WIDTH * STRIDE_DOWN + tap / TAPS_WIDE;
  let column = place % OUT_WIDTH * STRIDE_RIGHT + tap % TAPS_WIDE;
  if (row < TOP || row - TOP >= HEIGHT || column < LEFT || column - LEFT >= WIDTH) { return ${zero(isVector)}; }
  let index = ((output / OUT_PIXELS * HEIGHT + row - TOP) * WIDTH + column - LEFT) * CHANNELS + channel;
  return x[${at(isVector, 'index')}];
}`;

/** Function `slope` of the gradient before the ReLU at an index of the output. */
const gatherGradient = (isVector: boolean, relu: boolean): string => `
fn slope(index: u32) -> ${type(isVector)} {
  let i = ${at(isVector, 'index')};
  return ${relu ? `select(${zero(isVector)}, dy[i], y[i] > ${zero(isVector)})` : 'dy[i]'};
}`;

/** WGSL's max() may make 0 of NaN, and a run that diverges would go on. Of its bits, a compiler cannot assume anything. */
const RELU =
  'select(max(0.0, sum + bias[column]), sum + bias[column], (bitcast<u32>(sum + bias[column]) & 0x7fffffffu) > 0x7f800000u)';

interface ForwardInputs {
  readonly x: TensorInfo;
  readonly filter: TensorInfo;
  readonly bias: TensorInfo;
}

/** Output [samples, ...] of x [samples, height, width, channels], filter [..., channels, filters] and bias [filters]. */
export const biasedConvolution = (tf: TF): KernelFunc =>
  kernelFunc<ForwardInputs, ConvolutionAttrs>(({ inputs, attrs, backend }) => {
    const { x, filter, bias } = inputs;
    const [outHeight, outWidth, filters] = attrs.output;
    const channels = attrs.input[2];
    const tensor = backend.makeTensorInfo([...attrs.shape], 'float32');
    const rows = samplesOf(x, attrs) * outHeight * outWidth;
    const byChannels = isMultipleOf4(channels);
    const byFilters = isMultipleOf4(filters);
    multiply(tf, backend, {
      name: 'BiasedConvolution',
      declarations: constants(attrs) + gatherInput(byChannels),
      left: {
        fast: 'depth',
        isVector: byChannels,
        load: 'return pixel(own, depth / CHANNELS, depth % CHANNELS);',
      },
      right: {
        fast: 'own',
        isVector: byFilters,
        load: `return kernel[${at(byFilters, 'depth * FILTERS + own')}];`,
      },
      finish: attrs.relu ? RELU : 'sum + bias[column]',
      inputs: { x, kernel: filter, bias },
      vectors: [...(byChannels ? ['x'] : []), ...(byFilters ? ['kernel'] : [])],
      columns: filters,
      rows,
      depth: attrs.filter[0] * attrs.filter[1] * channels,
      outputs: [{ tensor, rows }],
    });
    return tensor;
  });

interface GradientInputs {
  readonly dy: TensorInfo;
  readonly y: TensorInfo;
}

/** Gradient of the input. `y` is the output, used with ReLU. */
export const biasedConvolutionGradInput = (tf: TF): KernelFunc =>
  kernelFunc<GradientInputs & { readonly filter: TensorInfo }, ConvolutionAttrs>(
    ({ inputs, attrs, backend }) => {
      const { dy, y, filter } = inputs;
      const [height, width, channels] = attrs.input;
      const tensor = backend.makeTensorInfo([...attrs.shape], 'float32');
      const rows = samplesOf(tensor, attrs) * height * width;
      const byFilters = isMultipleOf4(attrs.output[2]);
      multiply(tf, backend, {
        name: 'BiasedConvolutionGradInput',
        declarations: constants(attrs) + gatherGradient(byFilters, attrs.relu),
        left: {
          fast: 'depth',
          isVector: byFilters,
          load: `
  let tap = depth / FILTERS;
  let place = own % PIXELS;
  let down = place / WIDTH + TOP;
  let right = place % WIDTH + LEFT;
  let tap_row = tap / TAPS_WIDE;
  let tap_column = tap % TAPS_WIDE;
  if (down < tap_row || right < tap_column) { return ${zero(byFilters)}; }
  let row = (down - tap_row) / STRIDE_DOWN;
  let column = (right - tap_column) / STRIDE_RIGHT;
  if (row * STRIDE_DOWN != down - tap_row || column * STRIDE_RIGHT != right - tap_column) { return ${zero(byFilters)}; }
  if (row >= OUT_HEIGHT || column >= OUT_WIDTH) { return ${zero(byFilters)}; }
  return slope(((own / PIXELS * OUT_HEIGHT + row) * OUT_WIDTH + column) * FILTERS + depth % FILTERS);`,
        },
        right: {
          fast: 'depth',
          isVector: byFilters,
          load: `
  let index = (depth / FILTERS * CHANNELS + own) * FILTERS + depth % FILTERS;
  return kernel[${at(byFilters, 'index')}];`,
        },
        finish: 'sum',
        inputs: attrs.relu ? { dy, y, kernel: filter } : { dy, kernel: filter },
        vectors: byFilters ? ['dy', 'y', 'kernel'] : [],
        columns: channels,
        rows,
        depth: attrs.filter[0] * attrs.filter[1] * attrs.output[2],
        outputs: [{ tensor, rows }],
      });
      return tensor;
    },
  );

/** Attributes of {@link biasedConvolutionGradFilter}. */
export interface GradFilterAttrs extends ConvolutionAttrs {
  readonly filterShape: readonly number[];
}

/** Gradients of filter and bias, in one product: the bias is the filter of an input that is 1. */
export const biasedConvolutionGradFilter = (tf: TF): KernelFunc =>
  kernelFunc<GradientInputs & { readonly x: TensorInfo }, GradFilterAttrs>(({ inputs, attrs, backend }) => {
    const { dy, y, x } = inputs;
    const [outHeight, outWidth, filters] = attrs.output;
    const channels = attrs.input[2];
    const filter = backend.makeTensorInfo([...attrs.filterShape], 'float32');
    const bias = backend.makeTensorInfo([filters], 'float32');
    const taps = attrs.filter[0] * attrs.filter[1] * channels;
    const byChannels = isMultipleOf4(channels);
    const byFilters = isMultipleOf4(filters);
    multiply(tf, backend, {
      name: 'BiasedConvolutionGradFilter',
      declarations: `${constants(attrs)}${gatherInput(byChannels)}${gatherGradient(byFilters, attrs.relu)}`,
      left: {
        fast: 'own',
        isVector: byChannels,
        load: `
  if (own >= ${taps}u) { return ${byChannels ? 'vec4f(1.0, 0.0, 0.0, 0.0)' : '1.0'}; }
  return pixel(depth, own / CHANNELS, own % CHANNELS);`,
      },
      right: { fast: 'own', isVector: byFilters, load: 'return slope(depth * FILTERS + own);' },
      finish: 'sum',
      inputs: attrs.relu ? { dy, y, x } : { dy, x },
      vectors: [...(byFilters ? ['dy', 'y'] : []), ...(byChannels ? ['x'] : [])],
      columns: filters,
      rows: taps + 1,
      depth: samplesOf(x, attrs) * outHeight * outWidth,
      outputs: [
        { tensor: filter, rows: taps },
        { tensor: bias, rows: 1 },
      ],
    });
    return [filter, bias];
  });

const samplesOf = ({ shape }: TensorInfo, { input }: ConvolutionAttrs): number =>
  shape.reduce((product, n) => product * n, 1) / (input[0] * input[1] * input[2]);

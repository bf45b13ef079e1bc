import type { Group } from './keras-names.ts';

const HELPER = 'a function of Python that reads or writes configurations; gradcast takes the configurations';
const BASE = 'a base class of Python, which computes nothing itself';
/** Reasons of names that are no layers, losses and so on, but tools of Keras' library. */
export const NO_COMPUTATION: readonly string[] = [HELPER, BASE];
const WHOLE_BATCH =
  'it mixes the samples of a batch, so that a step would depend on how the batch is partitioned';
const IMAGES = 'gradcast does not compute this change of images; apply it when you prepare the data';
const TEXT =
  'it works on text or categories, which gradcast does not send to workers; apply it when you prepare the data';
const FOREIGN = 'it runs a model of another framework, and workers build only layers of Keras, as data';
const SIGNALS = 'gradcast does not compute Fourier transforms; apply it when you prepare the data';

const all = (names: string, reason: string): Record<string, string> =>
  Object.fromEntries(names.split(' ').map((name) => [name, reason]));

const helpers = all('get serialize deserialize', HELPER);

/** Reason why gradcast does not have a name of Keras, by the canonical name. */
export const REFUSALS: Readonly<Record<Group, Readonly<Record<string, string>>>> = {
  layers: {
    ...all('serialize deserialize', HELPER),
    ...all('Layer Wrapper InputSpec', BASE),
    ...all('CutMix MixUp', WHOLE_BATCH),
    ...all('AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization Equalization', IMAGES),
    ...all(
      'RandAugment RandomColorDegeneration RandomColorJitter RandomElasticTransform RandomErasing',
      IMAGES,
    ),
    ...all('RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective', IMAGES),
    ...all('RandomPosterization RandomSaturation RandomSharpness RandomShear Solarization', IMAGES),
    ...all('HashedCrossing Hashing IntegerLookup StringLookup', TEXT),
    ...all('TextVectorization', TEXT),
    ...all('FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper', FOREIGN),
    ...all('MelSpectrogram STFTSpectrogram', SIGNALS),
    Lambda: 'it contains Python code, which workers do not run',
    MaxNumBoundingBoxes: 'gradcast has no bounding boxes',
    Pipeline: 'it is a list of layers for data; put the layers into the model',
    ReversibleEmbedding: 'gradcast does not compute an embedding and its transpose with one tensor',
    SpectralNormalization: 'it changes a kernel before each step, while workers only read the weights',
  },
  activations: {
    ...helpers,
    glu: 'it halves the last axis, which activations of a layer keep in gradcast',
    sparsemax: 'it needs sorted values, for which tfjs has no gradient; use softmax',
    threshold:
      'Keras stores no arguments of activations in a layer, and without them it has no use; use ReLU with a threshold',
  },
  losses: {
    ...helpers,
    Loss: BASE,
    CTC: 'it aligns outputs with shorter targets, which gradcast does not compute',
    Circle: 'it compares the samples of a batch with each other, so that it is no sum over samples',
    Dice: 'it is a quotient of sums over the batch, not a sum over samples, which is what workers can compute in parts',
    Tversky:
      'it is a quotient of sums over the batch, not a sum over samples, which is what workers can compute in parts',
  },
  metrics: {
    ...helpers,
    ...all('Metric MeanMetricWrapper', BASE),
    ...all('Mean Sum', 'it sums up numbers that a program gives it, not outputs and targets'),
    Accuracy:
      'it counts outputs that equal the target to the last bit; use BinaryAccuracy or CategoricalAccuracy',
  },
  regularizers: {
    ...helpers,
    Regularizer: BASE,
  },
  constraints: { ...helpers, Constraint: BASE },
  optimizers: {
    ...helpers,
    Optimizer: BASE,
    OptimizerMap: 'it assigns optimizers to layers, while gradcast has one optimizer for all weights',
    MultiOptimizer: 'gradcast has one optimizer for all weights',
    Adafactor: 'gradcast does not compute factored second moments; use Adam',
    Ftrl: 'gradcast does not compute it; use Adagrad with an L1 regularizer',
    LossScaleOptimizer: 'gradients are float32, which need no scale',
    ScheduleFreeAdamW:
      'it evaluates other weights than those that it trains; use AdamW with a moving average',
  },
  'optimizers.schedules': { ...all('serialize deserialize', HELPER), LearningRateSchedule: BASE },
  initializers: {
    ...helpers,
    Initializer: BASE,
    STFT: 'it fills kernels of Fourier transforms, which gradcast does not compute',
  },
};

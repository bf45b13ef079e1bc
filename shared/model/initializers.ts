import type { Topology } from './job.ts';
import { copyModel, ownEntry, isLayer, layerLabel, walkLayers, type LayerConfig } from './keras-layer.ts';
import { snakeCase } from './layer-rules.ts';

/** Complete configuration of a tfjs-layers initializer. */
const varianceScaling = (scale: number, mode: string, distribution: string): LayerConfig => ({
  class_name: 'VarianceScaling',
  config: { scale, mode, distribution, seed: null },
});
const plainInitializer = (class_name: string, config: Record<string, unknown> = {}): LayerConfig => ({
  class_name,
  config,
});

/**
 * Keras' initializers by their names in snake_case. Glorot, He and LeCun initializers are written as VarianceScaling, because
 * tfjs spells some names otherwise and cannot read them back.
 */
const INITIALIZERS: Readonly<Record<string, LayerConfig>> = {
  zeros: plainInitializer('Zeros'),
  ones: plainInitializer('Ones'),
  constant: plainInitializer('Constant', { value: 0 }),
  random_uniform: plainInitializer('RandomUniform', { minval: -0.05, maxval: 0.05, seed: null }),
  random_normal: plainInitializer('RandomNormal', { mean: 0, stddev: 0.05, seed: null }),
  truncated_normal: plainInitializer('TruncatedNormal', { mean: 0, stddev: 0.05, seed: null }),
  orthogonal: plainInitializer('Orthogonal', { gain: 1, seed: null }),
  identity: plainInitializer('Identity', { gain: 1 }),
  variance_scaling: varianceScaling(1, 'fan_in', 'truncated_normal'),
  glorot_uniform: varianceScaling(1, 'fan_avg', 'uniform'),
  glorot_normal: varianceScaling(1, 'fan_avg', 'truncated_normal'),
  he_uniform: varianceScaling(2, 'fan_in', 'uniform'),
  he_normal: varianceScaling(2, 'fan_in', 'truncated_normal'),
  lecun_uniform: varianceScaling(1, 'fan_in', 'uniform'),
  lecun_normal: varianceScaling(1, 'fan_in', 'truncated_normal'),
};

const INITIALIZER_ALIASES: Readonly<Record<string, string>> = {
  zero: 'zeros',
  one: 'ones',
  uniform: 'random_uniform',
  normal: 'random_normal',
  orthogonal_initializer: 'orthogonal',
  identity_initializer: 'identity',
  le_cun_normal: 'lecun_normal',
  le_cun_uniform: 'lecun_uniform',
};

/** Keras' default initializer of each kind of tensor, zeros for all others; tfjs has other defaults for kernels. */
const DEFAULT_INITIALIZERS: Readonly<Record<string, string>> = {
  kernel: 'glorot_uniform',
  depthwise: 'glorot_uniform',
  pointwise: 'glorot_uniform',
  recurrent: 'orthogonal',
  embeddings: 'random_uniform',
  gamma: 'ones',
  scale: 'ones',
  concat_score_weight: 'ones',
  moving_variance: 'ones',
};

/** Vectors. They cannot use VarianceScaling, because Keras and tfjs count a vector's inputs differently. */
const VECTOR_TENSORS: ReadonlySet<string> = new Set([
  'bias',
  'beta',
  'gamma',
  'moving_mean',
  'moving_variance',
]);

/**
 * Complete configuration of one of a layer's initializers.
 * @param tensor name at the start of the key, for example 'kernel'
 * @throws Error naming layer and key if tfjs-layers has no equivalent initializer
 */
export function expandInitializer(layer: LayerConfig, tensor: string): LayerConfig {
  const key = `${tensor}_initializer`;
  const configured = layer.config[key] ?? DEFAULT_INITIALIZERS[tensor] ?? 'zeros';
  const name = isLayer(configured) ? configured.class_name : configured;
  const settings = isLayer(configured) ? configured.config : {};
  const unsupported = (what: string): Error =>
    new Error(`${layerLabel(layer)} has the ${key} ${what}, which is not supported. Use another one.`);
  if (typeof name !== 'string') throw unsupported(JSON.stringify(name));
  const normalizedName = snakeCase(name).toLowerCase();
  const initializer = ownEntry(INITIALIZERS, ownEntry(INITIALIZER_ALIASES, normalizedName) ?? normalizedName);
  if (initializer === undefined) throw unsupported(name);
  const config = { ...initializer.config };
  for (const [setting, value] of Object.entries(settings)) {
    if (value === null || ['dtype', 'input_axes', 'output_axes'].includes(setting)) continue;
    if (setting === 'seed' && !Object.hasOwn(config, 'seed')) continue;
    if (!Object.hasOwn(config, setting)) throw unsupported(`${name} with ${setting}`);
    config[setting] = typeof value === 'string' ? snakeCase(value) : value;
    if (setting !== 'mode' && setting !== 'distribution' && typeof value !== 'number')
      throw unsupported(`${name} with ${setting} ${JSON.stringify(value)}`);
  }
  if (initializer.class_name === 'VarianceScaling') {
    if (config.distribution === 'normal') config.distribution = 'truncated_normal';
    if (!['uniform', 'truncated_normal'].includes(String(config.distribution))) {
      throw unsupported(`${name} with the distribution ${String(config.distribution)}`);
    }
    if (VECTOR_TENSORS.has(tensor)) throw unsupported(name);
  }
  return { class_name: initializer.class_name, config };
}

/** Standard deviation of a normal distribution truncated at two deviations. Keras divides by it and tfjs does not. */
const TRUNCATED_DEVIATION = 0.8796256610342398;

/**
 * Topology with initializers that make tfjs-layers draw from Keras' distributions, for the one time that initial weights are
 * drawn.
 * @param topology with complete initializers
 */
export function withTfjsInitializers(topology: Topology): Topology {
  const model = copyModel(topology);
  for (const { config } of walkLayers(model)) {
    for (const [key, value] of Object.entries(config)) {
      if (key.endsWith('_initializer') && isLayer(value)) config[key] = toTfjsDistribution(value);
    }
  }
  return { ...model };
}

/**
 * Topology with zero initializers, for a model whose weights are set afterwards. It saves the time of drawing weights, above all
 * orthogonal ones.
 */
export function withoutInitialWeights(topology: Topology): Topology {
  const model = copyModel(topology);
  for (const { config } of walkLayers(model)) {
    for (const key of Object.keys(config)) {
      if (key.endsWith('_initializer')) config[key] = plainInitializer('Zeros');
    }
  }
  return { ...model };
}

function toTfjsDistribution(initializer: LayerConfig): LayerConfig {
  const { class_name: className, config } = initializer;
  // tfjs takes the layer of this name, and its own initializer makes only square matrices.
  if (className === 'Identity') return { ...initializer, class_name: 'IdentityMatrix' };
  // tfjs replaces a deviation or a bound of 0 by its default.
  if (className.endsWith('Normal') && config.stddev === 0)
    return plainInitializer('Constant', { value: config.mean });
  if (className === 'RandomUniform') {
    const bound = (value: unknown): unknown => (value === 0 ? Number.MIN_VALUE : value);
    return {
      ...initializer,
      config: { ...config, minval: bound(config.minval), maxval: bound(config.maxval) },
    };
  }
  // The 'normal' distribution of tfjs is truncated at two deviations; its 'truncated_normal' is uniform.
  if (className === 'VarianceScaling' && config.distribution === 'truncated_normal') {
    const scale = Number(config.scale) / TRUNCATED_DEVIATION ** 2;
    return { ...initializer, config: { ...config, scale, distribution: 'normal' } };
  }
  return initializer;
}

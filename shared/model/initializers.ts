import type { Topology } from './job.ts';
import { copyModel, ownEntry, isLayer, layerLabel, walkLayers, type LayerConfig } from './keras-layer.ts';
import { snakeCase } from './layer-rules.ts';

/** An initializer that tfjs-layers knows, with all its settings. */
const varianceScaling = (scale: number, mode: string, distribution: string): LayerConfig => ({
  class_name: 'VarianceScaling',
  config: { scale, mode, distribution, seed: null },
});
const plainInitializer = (class_name: string, config: Record<string, unknown> = {}): LayerConfig => ({
  class_name,
  config,
});

/**
 * Keras' initializers by their names in snake_case. Those of a variance are written as VarianceScaling: tfjs spells some
 * otherwise and does not read them back.
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

/** Initializers of each kind of tensor where the file says nothing; tfjs has others for kernels. */
const DEFAULT_INITIALIZERS: Readonly<Record<string, string>> = {
  kernel: 'glorot_uniform',
  depthwise: 'glorot_uniform',
  pointwise: 'glorot_uniform',
  recurrent: 'orthogonal',
  embeddings: 'random_uniform',
  gamma: 'ones',
  moving_variance: 'ones',
};

/** Whether the size of a tensor decides its spread: Keras and tfjs count a vector's inputs differently. */
const VECTOR_TENSORS: ReadonlySet<string> = new Set([
  'bias',
  'beta',
  'gamma',
  'moving_mean',
  'moving_variance',
]);

/**
 * Writes one of a layer's initializers out, with every setting.
 * @param tensor what the key begins with: kernel
 * @throws Error naming layer and key if tfjs-layers has none that does the same
 */
export function expandInitializer(layer: LayerConfig, tensor: string): LayerConfig {
  const key = `${tensor}_initializer`;
  const given = layer.config[key] ?? DEFAULT_INITIALIZERS[tensor] ?? 'zeros';
  const name = isLayer(given) ? given.class_name : given;
  const settings = isLayer(given) ? given.config : {};
  const refuse = (what: string): Error =>
    new Error(`${layerLabel(layer)} has the ${key} ${what}, which is not supported. Use another one.`);
  if (typeof name !== 'string') throw refuse(JSON.stringify(name));
  const spelled = snakeCase(name).toLowerCase();
  const known = ownEntry(INITIALIZERS, ownEntry(INITIALIZER_ALIASES, spelled) ?? spelled);
  if (known === undefined) throw refuse(name);
  const config = { ...known.config };
  for (const [setting, value] of Object.entries(settings)) {
    if (value === null || ['dtype', 'input_axes', 'output_axes'].includes(setting)) continue;
    if (setting === 'seed' && !Object.hasOwn(config, 'seed')) continue;
    if (!Object.hasOwn(config, setting)) throw refuse(`${name} with ${setting}`);
    config[setting] = typeof value === 'string' ? snakeCase(value) : value;
    if (setting !== 'mode' && setting !== 'distribution' && typeof value !== 'number')
      throw refuse(`${name} with ${setting} ${JSON.stringify(value)}`);
  }
  if (known.class_name === 'VarianceScaling') {
    if (config.distribution === 'normal') config.distribution = 'truncated_normal';
    if (!['uniform', 'truncated_normal'].includes(String(config.distribution))) {
      throw refuse(`${name} with the distribution ${String(config.distribution)}`);
    }
    if (VECTOR_TENSORS.has(tensor)) throw refuse(name);
  }
  return { class_name: known.class_name, config };
}

/** Deviation of a normal distribution that is cut off at two deviations, by which Keras divides and tfjs does not. */
const TRUNCATED_DEVIATION = 0.8796256610342398;

/**
 * The topology for the one time that its initializers are run: each with the settings that make tfjs-layers draw from
 * Keras' distribution.
 * @param topology with every initializer written out
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
 * The topology for a model that gets its weights from elsewhere: drawing them, and above all making them orthogonal, would be
 * for nothing.
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
  // tfjs knows no deviation of 0, no lower and no upper bound of 0: it takes its defaults instead.
  if (className.endsWith('Normal') && config.stddev === 0)
    return plainInitializer('Constant', { value: config.mean });
  if (className === 'RandomUniform') {
    const bound = (value: unknown): unknown => (value === 0 ? Number.MIN_VALUE : value);
    return {
      ...initializer,
      config: { ...config, minval: bound(config.minval), maxval: bound(config.maxval) },
    };
  }
  // What tfjs calls normal is cut off at two deviations; what it calls truncated it draws evenly.
  if (className === 'VarianceScaling' && config.distribution === 'truncated_normal') {
    const scale = Number(config.scale) / TRUNCATED_DEVIATION ** 2;
    return { ...initializer, config: { ...config, scale, distribution: 'normal' } };
  }
  return initializer;
}

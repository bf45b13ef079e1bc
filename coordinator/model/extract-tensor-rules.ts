import type { Topology } from '../../shared/model/job.ts';
import { copyModel, isLayer, layerLabel, type LayerConfig } from '../../shared/model/keras-layer.ts';
import type { Slice } from '../../shared/model/layout.ts';
import type { ConstraintSettings, TensorRule } from '../../shared/model/optimizer-settings.ts';
import { namesOf, visitLayers } from '../model-file/tensor-rules.ts';

/** Regularizer or constraint of a layer's tensor, by the names that the tensor may have in tfjs-layers. */
interface FoundRule {
  readonly label: string;
  readonly key: string;
  readonly names: readonly string[];
  readonly value: LayerConfig;
  /** Whether the layer may lack the tensor, such as a bias. */
  readonly isOptional: boolean;
}

/** Tensors that a layer has only with a flag. */
const OPTIONAL_TENSORS: Readonly<Record<string, string>> = {
  bias: 'use_bias',
  beta: 'center',
  gamma: 'scale',
};

/** Topology without the regularizers and constraints of layers, which the coordinator applies, and these. */
export interface ExtractedRules {
  readonly topology: Topology;
  /**
   * The rules of the tensors of the built model.
   * @param names of the tensors, in the order of the slices
   * @throws Error naming the layer if one of its tensors, or an axis of a constraint, is not found
   */
  readonly forTensors: (
    names: readonly string[],
    slices: readonly Pick<Slice, 'trainable' | 'shape'>[],
  ) => TensorRule[];
}

/**
 * Takes the regularizers and constraints of layers out of a topology.
 * @param topology as expandTopology returns it
 */
export function extractTensorRules(topology: Topology): ExtractedRules {
  const model = copyModel(topology);
  const found: FoundRule[] = [];
  visitLayers(model, [], (layer, prefixes) => collect(layer, prefixes, found));
  return {
    topology: found.length === 0 ? topology : { ...model },
    forTensors(names, slices) {
      const rules = new Map<number, { tensor: number } & Omit<TensorRule, 'tensor'>>();
      for (const rule of found) {
        const tensors = names.flatMap((name, tensor) => (rule.names.includes(name) ? [tensor] : []));
        if (tensors.length === 0 && !rule.isOptional) {
          throw new Error(
            `${rule.label} has a ${rule.key}, but its tensor is not found. Remove it from the model.`,
          );
        }
        for (const tensor of tensors) {
          const slice = slices[tensor];
          // As in Keras, frozen tensors have neither.
          if (slice?.trainable !== true) continue;
          rules.set(tensor, { tensor, ...rules.get(tensor), ...readRule(rule, slice.shape) });
        }
      }
      return [...rules.values()]
        .filter((rule) => Object.keys(rule).length > 1)
        .sort((a, b) => a.tensor - b.tensor);
    },
  };
}

/** Regularizers and constraints of a layer, which are taken out of its configuration. */
function collect(layer: LayerConfig, prefixes: readonly string[], found: FoundRule[]): void {
  const { config } = layer;
  for (const [key, value] of Object.entries(config)) {
    const [, setting = ''] = /^(.*)_(regularizer|constraint)$/.exec(key) ?? [];
    // The penalty of a layer's output is part of the worker's pass.
    if (setting === '' || setting === 'activity') continue;
    Reflect.deleteProperty(config, key);
    if (!isLayer(value)) continue;
    const flag = OPTIONAL_TENSORS[setting];
    found.push({
      label: layerLabel(layer),
      key,
      value,
      names: namesOf(setting, prefixes),
      isOptional: flag !== undefined && config[flag] === false,
    });
  }
}

/** @throws Error naming the layer if its tensor has not the axes that a constraint or regularizer takes */
function readRule({ label, key, value }: FoundRule, shape: readonly number[]): Omit<TensorRule, 'tensor'> {
  const rank = shape.length;
  const { class_name: className, config } = value;
  const number = (name: string, standard: number): number =>
    typeof config[name] === 'number' ? config[name] : standard;
  if (className === 'OrthogonalRegularizer') {
    const factor = number('factor', 0.01);
    const mode = config.mode === 'columns' ? 'columns' : 'rows';
    if (rank === 2 && (shape[mode === 'rows' ? 0 : 1] ?? 0) > 1)
      return factor === 0 ? {} : { orthogonal: { factor, mode } };
    throw new Error(
      `${label} has a ${key} that compares the ${mode} of a matrix, but its tensor is [${shape.join(', ')}]. Change it in the model.`,
    );
  }
  if (key.endsWith('_regularizer')) {
    const standard = className === 'L1L2' ? 0 : 0.01;
    const l1 = className === 'L2' ? 0 : number('l1', standard);
    const l2 = className === 'L1' ? 0 : number('l2', standard);
    return l1 === 0 && l2 === 0 ? {} : { penalty: { l1, l2 } };
  }
  const { axis = 0 } = config;
  const given = axis === null ? Array.from({ length: rank }, (_, i) => i) : [axis].flat().map(Number);
  const beyond = given.find((each) => each < -rank || each >= rank);
  if (beyond !== undefined) {
    throw new Error(
      `${label} has a ${key} over axis ${beyond}, but its tensor has ${rank} axes. Change it in the model.`,
    );
  }
  const axes = given.map((each) => (each < 0 ? each + rank : each));
  return { constraint: readConstraint(className, number, axes) };
}

function readConstraint(
  className: string,
  number: (name: string, standard: number) => number,
  axes: number[],
): ConstraintSettings {
  switch (className) {
    case 'MaxNorm':
      return { name: 'maxNorm', maxValue: number('max_value', 2), axes };
    case 'UnitNorm':
      return { name: 'unitNorm', axes };
    case 'MinMaxNorm':
      return {
        name: 'minMaxNorm',
        minValue: number('min_value', 0),
        maxValue: number('max_value', 1),
        rate: number('rate', 1),
        axes,
      };
    default:
      return { name: 'nonNegative' };
  }
}

import * as v from 'valibot';
import type { Topology } from '../../shared/model/job.ts';
import {
  copyModel,
  isModel,
  layersOf,
  nestedLayers,
  type LayerConfig,
} from '../../shared/model/keras-layer.ts';
import { rulesOf } from '../../shared/model/layer-table.ts';
import {
  optimizerSchema,
  type ConstraintSettings,
  type TensorRule,
} from '../../shared/model/optimizer-settings.ts';

/** Names of tensors whose settings have another name. */
const TENSOR_NAMES: Readonly<Record<string, string>> = {
  recurrent: 'recurrent_kernel',
  depthwise: 'depthwise_kernel',
  pointwise: 'pointwise_kernel',
};

/** Names of the tensors of a setting such as `recurrent`. */
export const namesOf = (setting: string, prefixes: readonly string[]): string[] =>
  prefixes.map((prefix) => `${prefix}/${TENSOR_NAMES[setting] ?? setting}`);

/**
 * Visits a layer and all layers inside, with the beginnings of the names of their tensors.
 * @param prefixes names that precede those of the layer's tensors; none for the layer's own name
 */
export function visitLayers(
  layer: LayerConfig,
  prefixes: readonly string[],
  visit: (layer: LayerConfig, prefixes: readonly string[]) => void,
): void {
  const { class_name: className, config } = layer;
  const own = prefixes.length > 0 ? prefixes : [String(config.name)];
  visit(layer, own);
  if (isModel(layer)) {
    for (const inner of layersOf(layer)) visitLayers(inner, [], visit);
    return;
  }
  for (const inner of nestedLayers(layer)) {
    if (className === 'Bidirectional') {
      const sides = ['forward', 'backward'].map((side) => `${side}_${String(inner.config.name)}`);
      visitLayers(
        inner,
        own.flatMap((prefix) => sides.map((side) => `${prefix}/${side}`)),
        visit,
      );
    } else if (inner.class_name === 'StackedRNNCells') {
      nestedLayers(inner).forEach((cell, i) =>
        visitLayers(
          cell,
          own.map((prefix) => `${prefix}/RNNCell_${i}`),
          visit,
        ),
      );
    } else visitLayers(inner, own, visit);
  }
}

/**
 * Topology with the regularizers and constraints that a job has for its tensors, as Keras writes them.
 * @param topology of the job
 * @param names of the tensors, in the order of the layout
 * @param optimizer of the job; one of another version, which this one does not know, has no rules
 */
export function withTensorRules(topology: Topology, names: readonly string[], optimizer: unknown): Topology {
  const { success, output } = v.safeParse(optimizerSchema, optimizer);
  const rules = success ? (output.tensorRules ?? []) : [];
  if (rules.length === 0) return topology;
  const model = copyModel(topology);
  visitLayers(model, [], (layer, prefixes) => {
    for (const key of Object.keys(rulesOf(layer.class_name) ?? {})) {
      const [, setting = ''] = /^(.*)_regularizer$/.exec(key) ?? [];
      if (setting === '' || setting === 'activity') continue;
      const tensors = namesOf(setting, prefixes);
      const rule = rules.find(({ tensor }) => tensors.includes(names[tensor] ?? ''));
      const regularizer = writeRegularizer(rule);
      if (regularizer !== null) layer.config[`${setting}_regularizer`] = regularizer;
      if (rule?.constraint !== undefined)
        layer.config[`${setting}_constraint`] = writeConstraint(rule.constraint);
    }
  });
  return { ...model };
}

function writeRegularizer(rule: TensorRule | undefined): LayerConfig | null {
  if (rule?.orthogonal !== undefined)
    return { class_name: 'OrthogonalRegularizer', config: { ...rule.orthogonal } };
  return rule?.penalty === undefined ? null : { class_name: 'L1L2', config: { ...rule.penalty } };
}

function writeConstraint(constraint: ConstraintSettings): LayerConfig {
  switch (constraint.name) {
    case 'maxNorm':
      return { class_name: 'MaxNorm', config: { max_value: constraint.maxValue, axis: constraint.axes } };
    case 'unitNorm':
      return { class_name: 'UnitNorm', config: { axis: constraint.axes } };
    case 'minMaxNorm': {
      const { minValue: min_value, maxValue: max_value, rate, axes: axis } = constraint;
      return { class_name: 'MinMaxNorm', config: { min_value, max_value, rate, axis } };
    }
    case 'nonNegative':
      return { class_name: 'NonNeg', config: {} };
  }
}

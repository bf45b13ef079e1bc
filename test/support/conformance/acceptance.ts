import { optimizerFromKeras } from '../../../coordinator/optimizer/keras-config.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import { LOSS_NAMES } from '../../../shared/model/losses.ts';
import { METRIC_NAMES } from '../../../shared/model/metrics.ts';
import { className, type Group } from './keras-names.ts';

/** Expands a model of one layer as a file of Keras 3 has it. */
const expand = (layer: string, config: object): unknown =>
  expandTopology({
    class_name: 'Sequential',
    keras_version: '3.15.1',
    config: { name: 'm', layers: [{ class_name: layer, config: { name: 'tried', ...config } }] },
  });

const known: Readonly<Record<'losses' | 'metrics', ReadonlySet<string>>> = {
  losses: new Set(LOSS_NAMES.map((name) => className('losses', name))),
  metrics: new Set(METRIC_NAMES.map((name) => className('metrics', name))),
};

/** Settings without which a layer is refused. */
const REQUIRED: Readonly<Record<string, object>> = {
  StackedRNNCells: { cells: [{ class_name: 'LSTMCell', config: { name: 'cell', units: 1 } }] },
};

/** How gradcast receives a name of each group. Throws if it refuses the name. */
const receive: Readonly<Record<Group, (name: string) => unknown>> = {
  layers: (name) => expand(name, REQUIRED[name] ?? {}),
  activations: (name) => expand('Dense', { activation: name }),
  losses: (name) => requireKnown('losses', name),
  metrics: (name) => requireKnown('metrics', name),
  regularizers: (name) => expand('Dense', { kernel_regularizer: { class_name: name, config: {} } }),
  constraints: (name) => expand('Dense', { kernel_constraint: { class_name: name, config: {} } }),
  initializers: (name) => expand('Dense', { kernel_initializer: { class_name: name, config: {} } }),
  optimizers: (name) => optimizerFromKeras({ class_name: name, config: {} }),
  'optimizers.schedules': (name) =>
    optimizerFromKeras({ class_name: 'SGD', config: { learning_rate: { class_name: name, config: {} } } }),
};

function requireKnown(group: 'losses' | 'metrics', name: string): void {
  if (!known[group].has(`${group}.${name}`)) throw new Error(`There is no ${name}.`);
}

/** Whether gradcast takes a name of Keras, which is a canonical one. */
export function isAccepted(group: Group, name: string): boolean {
  try {
    receive[group](name);
    return true;
  } catch {
    return false;
  }
}

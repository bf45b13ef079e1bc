import { expandTopology } from '../../../shared/model/expand-topology.ts';
import type { Topology } from '../../../shared/model/job.ts';

/** A layer of an expanded topology. */
export interface Layer {
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly name?: string;
  readonly inbound_nodes?: unknown;
}

/** Object with a class: an initializer, a regularizer, a policy or a layer without a name. */
export const plain = (class_name: string, config: object = {}) => ({ class_name, config });

/** Layer with the name x, unless `config` has another name. */
export const layer = (class_name: string, config: object = {}) => plain(class_name, { name: 'x', ...config });

export const input = plain('InputLayer', { name: 'in', batch_input_shape: [null, 28, 28, 1] });

export const sequential = (...layers: object[]): Topology => plain('Sequential', { name: 'm', layers });

/** Functional model from the layer `in` to the layer `out`. */
export const functional = (...layers: object[]): Topology =>
  plain('Functional', {
    name: 'm',
    layers,
    input_layers: [['in', 0, 0]],
    output_layers: [['out', 0, 0]],
  });

/** Inbound nodes of a layer that is called once, with the output of the layer `name`. */
export const call = (name: string, kwargs: object = {}) => [[[name, 0, 0, kwargs]]];

export const layersOf = (topology: Topology): Layer[] =>
  (topology as unknown as { config: { layers: Layer[] } }).config.layers;

export const expanded = (topology: Topology): Layer[] => layersOf(expandTopology(topology));

/** Expanded configuration of a layer. */
export const expandedConfig = (className: string, config: object = {}) =>
  expanded(sequential(layer(className, config)))[0]!.config;

import { isLayer, isRecord } from '../../../shared/model/keras-layer.ts';
import type { Topology } from '../../../shared/model/job.ts';
import { snakeCase } from '../../../shared/model/layer-rules.ts';
import { kerasLosses, lossStep } from '../keras-losses.ts';
import { kerasDataset, kerasJob, kerasModels } from '../keras-models.ts';
import { layerCases } from '../layer-cases.ts';
import { canonicalName, className, kerasNames, type Group } from './keras-names.ts';
import type { StepCase } from './measure-case.ts';

/** Case of test/reference that engines compute. */
export interface ListedCase {
  readonly kind: StepCase['kind'];
  readonly name: string;
  /** Names of Keras whose computation it checks, such as layers.Conv2D. */
  readonly covers: readonly string[];
  /** Error of Keras' own float32 gradient, if it is known. */
  readonly kerasError?: number;
  prepare(): Promise<StepCase>;
}

/** Layers and activations that many models have around the one that they are about. */
const SURROUNDINGS: ReadonlySet<string> = new Set([
  ...['InputLayer', 'Flatten', 'Dense', 'Reshape', 'Conv1D', 'Conv2D', 'Conv3D', 'Activation', 'Rescaling'],
  ...[
    'Permute',
    'Cropping2D',
    'Dropout',
    'ReLU',
    'GlobalAveragePooling2D',
    'linear',
    'softmax',
    'tanh',
    'relu',
    'sigmoid',
  ],
]);

/** Classes of layers and activations within a topology, each with its group. */
function contents(topology: Topology, isKeras3: boolean): Set<string> {
  const found = new Set<string>();
  const add = (group: Group, name: string): void => {
    if (kerasNames.groups[group].some((each) => each.name === name)) found.add(canonicalName(group, name));
  };
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    if (!isRecord(value)) return;
    if (isLayer(value)) add('layers', value.class_name);
    // Keras 2 has another hard_sigmoid.
    const { activation } = value;
    if (typeof activation === 'string' && (isKeras3 || snakeCase(activation) !== 'hard_sigmoid')) {
      add('activations', snakeCase(activation));
    }
    Object.values(value).forEach(visit);
  };
  visit(topology);
  return found;
}

const shortName = (full: string): string => full.slice(full.lastIndexOf('.') + 1);
const mentions = (text: string, name: string): boolean =>
  new RegExp(`(^|[^A-Za-z0-9_])${name}($|[^A-Za-z0-9_])`).test(text);

/** All cases that engines compute. Preparing a case activates another backend of tfjs. */
export function listStepCases(): ListedCase[] {
  const { models, ...rest } = kerasModels();
  const batch = { ...rest, models: [] };
  const dataset = kerasDataset(batch);
  const withLayers = [
    ...models.map((model) => ({
      kind: 'model' as const,
      name: model.name,
      contains: contents(model.topology, model.name.startsWith('Keras 3')),
      prepare: async (): Promise<StepCase> => {
        const { job, names } = await kerasJob(dataset, model);
        return { kind: 'model', name: model.name, batch, model, job, names };
      },
    })),
    ...layerCases.map((layer) => ({
      kind: 'layer' as const,
      name: layer.name,
      contains: contents(layer.topology, false),
      kerasError: layer.float32Error,
      prepare: (): Promise<StepCase> => Promise.resolve({ kind: 'layer', name: layer.name, layer }),
    })),
  ];
  // A case is about what its name says, and about all but the surroundings. A part of the surroundings that no name mentions counts
  // where there is nothing else.
  const mentioned = new Set(
    withLayers.flatMap(({ name, contains }) =>
      [...contains].filter((full) => mentions(name, shortName(full))),
    ),
  );
  const isAbout = (name: string, contains: ReadonlySet<string>, full: string): boolean => {
    if (!SURROUNDINGS.has(shortName(full)) || mentions(name, shortName(full))) return true;
    return !mentioned.has(full) && [...contains].every((other) => SURROUNDINGS.has(shortName(other)));
  };
  return [
    ...withLayers.map(({ contains, ...about }) => ({
      ...about,
      covers: [...contains].filter((full) => isAbout(about.name, contains, full)),
    })),
    ...kerasLosses().gradients.map((each) => {
      const options = Object.entries(each.loss).map(([key, value]) =>
        key === 'name' ? String(value) : ` ${key} ${String(value)}`,
      );
      const weighted = each.weighted ? ', weighted' : '';
      const name = `loss ${options.join('')} behind ${each.activation}${weighted}`;
      return {
        kind: 'loss' as const,
        name,
        covers: [className('losses', each.loss.name)],
        prepare: async (): Promise<StepCase> => ({ kind: 'loss', name, step: await lossStep(each) }),
      };
    }),
  ];
}

/** The first case of each name of Keras that has one. */
export function oneOfEveryKind(cases: readonly ListedCase[]): ListedCase[] {
  const missing = new Set(cases.flatMap(({ covers }) => covers));
  return cases.filter(({ covers }) => covers.map((name) => missing.delete(name)).includes(true));
}

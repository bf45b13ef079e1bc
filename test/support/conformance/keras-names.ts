import { readFileSync } from 'node:fs';

/** Public name of Keras 3, as test/reference/keras_names.py lists it. */
export interface KerasName {
  readonly name: string;
  readonly kind: 'class' | 'function';
  /** Name of the same object, with its group if that is another one. */
  readonly same?: string;
}

export type Group =
  | 'layers'
  | 'activations'
  | 'losses'
  | 'metrics'
  | 'regularizers'
  | 'constraints'
  | 'optimizers'
  | 'optimizers.schedules'
  | 'initializers';

interface KerasNames {
  readonly versions: { readonly keras: string };
  readonly groups: Readonly<Record<Group, readonly KerasName[]>>;
}

/** All public names of Keras 3 by group. */
export const kerasNames: KerasNames = JSON.parse(
  readFileSync(new URL('../../reference/keras-names.json', import.meta.url), 'utf8'),
) as KerasNames;

const plain = (name: string): string => name.replaceAll('_', '').toLowerCase();

/** Classes whose function has another name. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  'layers.Input': 'layers.InputLayer',
  'metrics.log_cosh': 'metrics.LogCoshError',
};

/**
 * Name under which an object has its figures, `group.name`: that of the class of which a function is the functional form
 * (keras.losses.huber of keras.losses.Huber), or under which Keras defines it.
 */
export function canonicalName(group: Group, name: string): string {
  const rows = kerasNames.groups[group];
  const row = rows.find((each) => each.name === name);
  if (row?.same?.includes('.') === true) return canonicalName('losses', row.same.replace('losses.', ''));
  const own = FUNCTIONS[`${group}.${name}`];
  if (own !== undefined) return own;
  if (row?.same !== undefined) return `${group}.${row.same}`;
  const form = rows.find((each) => each.kind === 'class' && plain(each.name) === plain(name));
  return `${group}.${row?.kind === 'function' && form !== undefined ? form.name : name}`;
}

/** Class of a loss or metric that gradcast names as Keras' function, or the name itself if Keras has no such class. */
export function className(group: 'losses' | 'metrics', snakeName: string): string {
  const known = FUNCTIONS[`${group}.${snakeName}`];
  if (known !== undefined) return known;
  const form = kerasNames.groups[group].find(
    ({ name, kind }) => kind === 'class' && plain(name) === plain(snakeName),
  );
  return `${group}.${form?.name ?? snakeName}`;
}

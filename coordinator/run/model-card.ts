import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Preprocessing } from '../../shared/data/preprocessing.ts';
import type { Job } from '../../shared/model/job.ts';
import { sizeOf } from '../../shared/model/layout.ts';
import { describeShapes } from '../../shared/model/tensors.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { readRegularFile } from '../files/read-file.ts';
import { writeFileAtomic, type WriteOptions } from '../files/write-file.ts';
import { withoutFolders } from './model-folder.ts';
import { formatDuration, formatMetric, metricsOf, type TestScores } from '../report/reporter.ts';

/** A run whose model is described. */
export interface DescribedRun {
  readonly gradcast: string;
  readonly job: Job;
  /** Names of the tensors of the layout, such as dense/kernel. */
  readonly weightNames: readonly string[];
  readonly dataset: Pick<Dataset, 'name' | 'description' | 'classNames' | 'preprocessing'>;
  readonly history: readonly EpochRecord[];
  /** Scores of the saved weights; null if they were not measured. */
  readonly scores: TestScores | null;
  readonly steps: number;
  /** Whether the run ended before its last epoch. */
  readonly isStopped: boolean;
  /** Kinds of engines that computed, such as wasm. */
  readonly engines: ReadonlySet<string>;
}

/** Name that Hugging Face and Git hosts show beside a model's files. */
const CARD_FILE = 'README.md';
const MARK = 'model card of gradcast';
const MAX_CARD_BYTES = 2 ** 20;
/** Rows of the table of epochs. */
const MAX_EPOCHS = 12;
const MAX_NAMES = 30;
const MAX_LAYERS = 200;

/**
 * Writes README.md beside a model: its data, layers, training, figures and use. A file of that name that gradcast did not write, or that a
 * person has changed since, is left as it is.
 * @returns whether it was written
 * @throws Error with a sentence that names the file
 */
export async function writeModelCard(
  modelDir: string,
  run: DescribedRun,
  options: WriteOptions = {},
): Promise<boolean> {
  const file = join(modelDir, CARD_FILE);
  const existing = await readRegularFile(file, MAX_CARD_BYTES).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    // It is something else than a card, such as a folder.
    return Buffer.from('');
  });
  if (existing !== null && !isOwnCard(existing.toString('utf8'))) return false;
  await writeFileAtomic(file, describeRun(run), options);
  return true;
}

/** Whether gradcast wrote a card, and it was not changed since. */
export function isOwnCard(text: string): boolean {
  const line = new RegExp(`\\n<!-- ${MARK} ([0-9a-f]{16}) -->\\n$`);
  const [, digest] = line.exec(text) ?? [];
  return digest !== undefined && digest === digestOf(text.replace(line, ''));
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

/**
 * Card of a model in Markdown with the front matter that Hugging Face reads.
 * @example
 * ```ts
 * await writeFile('README.md', describeRun({ gradcast: '0.2.0', job, weightNames, dataset, history, scores, ... }));
 * ```
 */
export function describeRun(run: DescribedRun): string {
  const { job, dataset, history, gradcast } = run;
  const parts = [
    frontMatter(run),
    `# Model trained on ${text(dataset.name)}`,
    `Trained with gradcast ${gradcast}.${run.isStopped ? ' The run was stopped before its last epoch ended.' : ''}`,
    '## Data',
    list([
      text(withoutFolders(dataset.description)),
      `Samples: ${job.data.trainSamples} to train on, ${job.data.testSamples} to test on`,
      `Inputs: ${text(describeShapes(job.inputs))}`,
      ...describeTargets(run),
      ...describePreprocessing(dataset.preprocessing),
    ]),
    '## Model',
    layerTable(run),
    '## Training',
    list([
      `Optimizer: ${describeSettings(job.optimizer)}`,
      ...job.outputs.map(
        ({ name, loss }) =>
          `Loss${job.outputs.length > 1 ? ` of ${text(name)}` : ''}: ${describeSettings(loss)}`,
      ),
      `Batch size: ${job.batchSize}${job.microShard === undefined ? '' : `, in micro-shards of ${job.microShard} (exact mode)`}`,
      `Epochs: ${history.length} of ${job.epochs} finished, ${run.steps} steps; seed ${job.seed}`,
      ...describeMachines(run),
    ]),
    '## Figures',
    describeFigures(run),
    '## Use',
    USE,
    '## Limits',
    list([
      'The figures are of test samples from the same source. Other data can have other figures: measure it with `gradcast evaluate`.',
      ...(job.targets.some(({ classes }) => classes !== undefined)
        ? ['Every sample gets one of the classes above, also one that is of none of them.']
        : []),
    ]),
  ];
  const body = `${parts.join('\n\n')}\n`;
  return `${body}\n<!-- ${MARK} ${digestOf(body)} -->\n`;
}

function frontMatter({ job, dataset: { preprocessing } }: DescribedRun): string {
  const isClass = job.targets[0]?.classes !== undefined;
  const tasks: Readonly<Record<Preprocessing['kind'], string>> = {
    image: 'image-classification',
    table: isClass ? 'tabular-classification' : 'tabular-regression',
    text:
      preprocessing?.kind === 'text' && preprocessing.column === undefined
        ? 'text-generation'
        : 'text-classification',
  };
  const isImage = isClass && job.inputs[0]?.dtype === 'uint8' && job.inputs[0].shape.length === 3;
  const task = preprocessing === undefined ? (isImage ? tasks.image : undefined) : tasks[preprocessing.kind];
  return [
    '---',
    'library_name: gradcast',
    ...(task === undefined ? [] : [`pipeline_tag: ${task}`]),
    'tags:',
    '  - gradcast',
    '  - tensorflow.js',
    '---',
  ].join('\n');
}

function describeTargets({ job, dataset: { classNames } }: DescribedRun): string[] {
  return job.targets.map(({ name, classes, shape }, i) => {
    if (classes === undefined) return `Target ${text(name)}: numbers, [${shape.join(', ')}]`;
    const names = i === 0 && classNames !== undefined ? `: ${listNames(classNames)}` : '';
    return `Target ${text(name)}: ${classes} classes${names}`;
  });
}

function describePreprocessing(preprocessing: Preprocessing | undefined): string[] {
  switch (preprocessing?.kind) {
    case undefined:
      return [];
    case 'image': {
      const { size, channels, fit } = preprocessing;
      return [`Preprocessing: images become ${size.join(' x ')} x ${channels} (${fit}), divided by 255`];
    }
    case 'table': {
      const of = (type: string): string[] =>
        preprocessing.columns.filter((column) => column.type === type).map(({ name }) => name);
      return [
        ...(of('number').length === 0 ? [] : [`Numbers, standardized: ${listNames(of('number'))}`]),
        ...(of('category').length === 0 ? [] : [`Categories, one-hot: ${listNames(of('category'))}`]),
      ];
    }
    case 'text':
      return [
        `Preprocessing: text${preprocessing.column === undefined ? '' : ` of the column ${text(preprocessing.column)}`} in tokens (${preprocessing.tokenizer.kind}), ${preprocessing.length} a sample`,
      ];
  }
}

interface TopologyLayer {
  readonly class_name?: unknown;
  readonly config?: { readonly name?: unknown };
}

/** Layers with their weights, in the model's order. */
function layerTable({ job, weightNames }: DescribedRun): string {
  const { config } = job.topology as { readonly config?: unknown };
  const layers = Array.isArray(config)
    ? config
    : (config as { readonly layers?: unknown } | undefined)?.layers;
  const sizes = job.layout.map(({ shape, trainable }, i) => ({
    name: weightNames[i] ?? '',
    size: sizeOf(shape),
    trainable,
  }));
  const count = (list: readonly { readonly size: number }[]): number =>
    list.reduce((sum, { size }) => sum + size, 0);
  const rows = (Array.isArray(layers) ? (layers as TopologyLayer[]) : []).map((layer) => {
    const name = stringOf(layer.config?.name);
    return [
      name,
      stringOf(layer.class_name),
      String(count(sizes.filter((each) => each.name.startsWith(`${name}/`)))),
    ];
  });
  const fixed = count(sizes.filter(({ trainable }) => !trainable));
  return [
    table(['layer', 'kind', 'parameters'], rows.slice(0, MAX_LAYERS)),
    ...(rows.length > MAX_LAYERS ? [`These are the first ${MAX_LAYERS} of ${rows.length} layers.`] : []),
    `${count(sizes)} parameters${fixed === 0 ? '' : `, of which ${fixed} are not trained`}.`,
  ].join('\n\n');
}

const stringOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function describeMachines({ history, engines }: DescribedRun): string[] {
  const seconds = history.reduce((sum, record) => sum + record.seconds, 0);
  const workers = history.reduce((most, record) => Math.max(most, record.workers), 0);
  return [
    ...(workers === 0 ? [] : [`Workers: up to ${workers}`]),
    ...(engines.size === 0 ? [] : [`Engines: ${[...engines].toSorted().join(', ')}`]),
    ...(history.length === 0 ? [] : [`Duration of the finished epochs: ${formatDuration(seconds)}`]),
  ];
}

function describeFigures({ scores, history }: DescribedRun): string {
  const measured = Object.entries(scores ?? {});
  const final =
    measured.length === 0
      ? 'The saved weights were not measured.'
      : table(
          ['on the test samples', 'value'],
          measured.map(([name, value]) => [name.slice('val_'.length), formatMetric(value)]),
        );
  const [first] = history;
  if (first === undefined) return final;
  const shown =
    history.length <= MAX_EPOCHS
      ? history
      : Array.from(
          { length: MAX_EPOCHS },
          (_, i) => history[Math.round((i * (history.length - 1)) / (MAX_EPOCHS - 1))] as EpochRecord,
        );
  const names = Object.keys(metricsOf(first));
  const rows = shown.map((record) => {
    const metrics = metricsOf(record);
    return [String(record.epoch), ...names.map((name) => formatMetric(metrics[name] ?? NaN))];
  });
  return `${final}\n\n${table(['epoch', ...names], rows)}`;
}

/** Name and settings of an optimizer or a loss. */
function describeSettings({ name, ...settings }: { readonly name: string }): string {
  const shown = Object.entries(settings as Record<string, unknown>)
    .filter(([, value]) => ['number', 'boolean', 'string'].includes(typeof value))
    .map(([key, value]) => `${key} ${String(value)}`);
  return text(shown.length === 0 ? name : `${name} (${shown.join(', ')})`);
}

const USE = `New data, treated as the training data was:

\`\`\`sh
gradcast predict FOLDER-OF-THIS-FILE INPUT
\`\`\`

In TensorFlow.js, with inputs that are preprocessed as above:

\`\`\`js
const model = await tf.loadLayersModel('model.json');
const output = model.predict(inputs);
\`\`\`

In Keras, after \`gradcast export FOLDER-OF-THIS-FILE --out model.keras\`:

\`\`\`python
model = keras.saving.load_model("model.keras")
output = model.predict(inputs)
\`\`\``;

const list = (items: readonly string[]): string => items.map((item) => `- ${item}`).join('\n');

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(text).join(' | ')} |`).join('\n');

function listNames(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES).map(text).join(', ');
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
}

/** Text that Markdown shows as it is. */
const text = (raw: string): string => sanitizeForTerminal(raw).replaceAll(/[|<>`\\*]/g, '\\$&');

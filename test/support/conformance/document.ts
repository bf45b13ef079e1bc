import { GRADIENT_BOUND, LOSS_BOUND } from './bounds.ts';
import { ENGINES, type EngineName } from './engines.ts';
import type { Group } from './keras-names.ts';
import type { CoordinatorFigure, Figures, StepFigures } from './measure-all.ts';
import { NO_COMPUTATION } from './refusals.ts';
import { groups, type Row } from './rows.ts';

const LABELS: Readonly<Record<EngineName, string>> = {
  native: 'native',
  wasm: 'wasm',
  webgl: 'WebGL',
  webgpu: 'WebGPU',
};

/** Groups whose figures are those of engines; all others are computed by the coordinator. */
const ON_ENGINES: readonly Group[] = ['layers', 'activations', 'losses'];

const TITLES: Readonly<Record<Group, string>> = {
  layers: 'One training step of small models with the layer.',
  activations: 'One training step of small models with the activation.',
  losses:
    'One training step of a dense layer with the loss, with and without weights of samples; and, under "value", the mean loss ' +
    'of given outputs, in double precision, which is the same code on every engine.',
  metrics:
    'Values of given outputs, with and without weights of samples, in two parts whose sums are added. Workers compute them in ' +
    'double precision from the outputs, with the same code on every engine.',
  regularizers: 'The penalty and ten steps of an optimizer. The coordinator computes them.',
  constraints: 'Ten steps of an optimizer. The coordinator computes them.',
  optimizers:
    'Ten steps with given gradients from 1e-12 to 1e4, with each option. The coordinator computes them. Differences are relative ' +
    'to the largest magnitude that a weight has had.',
  'optimizers.schedules': 'Learning rates of 35 steps. The coordinator computes them.',
  initializers:
    'Random numbers are not those of Keras. For 120,000 initial weights, the largest difference of the standard deviation or of a ' +
    "quantile from those of Keras' weights, relative to the deviation, is below 2e-2, as samples of one distribution; of an orthogonal " +
    'kernel it is the difference of its products of columns from those of an orthonormal one.',
};

const format = (value: number): string =>
  Number.isFinite(value) ? (value === 0 ? '0' : value.toExponential(1)) : 'not finite';

interface Differences {
  readonly loss: number;
  readonly gradient: number;
}

export const isWithin = ({ loss, gradient }: Differences): boolean =>
  loss <= LOSS_BOUND && gradient <= GRADIENT_BOUND;

const pair = ({ loss, gradient }: Differences): string => `${format(loss)} / ${format(gradient)}`;

/** Largest differences on an engine, or the error. */
function engineCell(cases: readonly StepFigures[], engine: EngineName): string {
  let loss = 0;
  let gradient = 0;
  for (const each of cases) {
    const answer = each.answers.get(engine);
    if (answer === undefined) return '–';
    if ('failed' in answer) return '**error**';
    // NaN stays NaN.
    loss = Math.max(loss, answer.loss);
    gradient = Math.max(gradient, answer.gradient);
  }
  const text = pair({ loss, gradient });
  return isWithin({ loss, gradient }) ? text : `**${text}**`;
}

function coordinatorCell(cases: readonly CoordinatorFigure[]): string {
  const worst = Math.max(...cases.map(({ difference }) => difference));
  const text = worst === 0 ? 'to the bit' : format(worst);
  return cases.every(({ difference, bound }) => difference <= bound) ? text : `**${text}**`;
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** Lines of a table. */
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  rows.length === 0 ? [] : [line(head), line(head.map(() => '---')), ...rows.map(line), ''];

/** Section of a group: what gradcast has, then what it refuses. */
function section(group: Group, rows: readonly Row[], { steps, coordinator }: Figures): string[] {
  const onEngines = ON_ENGINES.includes(group);
  const hasValues = group === 'losses';
  const head = [
    `keras.${group}`,
    'cases',
    ...(hasValues ? ['value'] : []),
    ...(onEngines ? ENGINES.map((engine) => LABELS[engine]) : ['difference']),
  ];
  const accepted = rows.filter(({ refusal }) => refusal === undefined);
  const figures = accepted.map(({ name, canonical }) => {
    if (canonical !== `${group}.${name}`) {
      const own = canonical.startsWith(`${group}.`)
        ? canonical.slice(group.length + 1)
        : `keras.${canonical}`;
      return [`\`${name}\``, `as \`${own}\``, ...head.slice(2).map(() => '')];
    }
    const ownSteps = steps.filter(({ covers }) => covers.includes(canonical));
    const own = coordinator.filter(({ covers }) => covers.includes(canonical));
    return [
      `\`${name}\``,
      String(ownSteps.length + own.length),
      ...(hasValues ? [coordinatorCell(own)] : []),
      ...(onEngines ? ENGINES.map((engine) => engineCell(ownSteps, engine)) : [coordinatorCell(own)]),
    ];
  });
  const refused = rows.flatMap(({ name, refusal }) =>
    refusal === undefined ? [] : [[`\`${name}\``, `refused: ${refusal}`]],
  );
  return [
    `## keras.${group}`,
    '',
    TITLES[group],
    '',
    ...table(head, figures),
    ...table([`keras.${group}`, 'why gradcast does not have it'], refused),
  ];
}

/** Length of an error in the document. */
const MAX_ERROR = 120;

/** Sentence about a case if it is outside the bounds on an engine; else null. */
export function remark({ name, kerasError = 0, answers }: StepFigures): string | null {
  const outside = [...answers].flatMap(([engine, answer]) => {
    if ('failed' in answer)
      return [`${LABELS[engine]}: ${(answer.failed.split('\n')[0] ?? '').slice(0, MAX_ERROR)}`];
    return isWithin(answer) ? [] : [`${LABELS[engine]} ${pair(answer)}`];
  });
  if (outside.length === 0) return null;
  const cause =
    kerasError > GRADIENT_BOUND
      ? ` Sums cancel in float32: Keras' own float32 gradient differs by ${format(kerasError)} from the reference, which is float64.`
      : '';
  return `- Outside the bounds: ${name} (${outside.join('; ')}).${cause}`;
}

/** Numbers of rows, and the largest differences on each engine. */
export function summarize(rows: readonly Row[], { engines, steps, coordinator }: Figures): string[] {
  const accepted = rows.filter(({ refusal }) => refusal === undefined);
  const counts =
    `${rows.length} public names: gradcast has ${accepted.length} and refuses ${rows.length - accepted.length}, ` +
    `${rows.filter(({ refusal }) => NO_COMPUTATION.includes(refusal ?? '')).length} of these because they are not computations.`;
  const largest = [...engines].map(([engine, status]) => {
    if ('missing' in status) return `- ${LABELS[engine]}: missing here (${status.missing}).`;
    const answers = steps.map(({ answers: found }) => found.get(engine));
    const failed = answers.filter((answer) => answer !== undefined && 'failed' in answer).length;
    const measured = answers.flatMap((answer) => (answer !== undefined && 'loss' in answer ? [answer] : []));
    const worst = (key: 'loss' | 'gradient'): string =>
      format(Math.max(...measured.map((each) => each[key])));
    const outside = steps.filter((each) => {
      const answer = each.answers.get(engine);
      return answer !== undefined && 'loss' in answer && !isWithin(answer);
    }).length;
    const { device, version } = status.info;
    const library = engine === 'native' ? 'TensorFlow' : 'TensorFlow.js';
    const label = `- ${LABELS[engine]} (${library} ${version}, ${device}): ${measured.length} cases`;
    if (measured.length === 0) return `${label}, ${failed} errors.`;
    return (
      `${label}, loss within ${worst('loss')}, ` +
      `gradient within ${worst('gradient')}, ${outside} outside the bounds, ${failed} errors.`
    );
  });
  const unlike = coordinator.filter(({ difference, bound }) => !(difference <= bound));
  const others = `- Coordinator: ${coordinator.length} cases, ${unlike.length} outside the bounds.`;
  return [counts, '', ...largest, others];
}

/** Text of docs/conformance.md, before it is formatted. */
export function renderDocument(rows: readonly Row[], figures: Figures, kerasVersion: string): string {
  const notes = figures.steps.map(remark).filter((note) => note !== null);
  return [
    '# Conformance with Keras',
    '',
    `Every public name of Keras ${kerasVersion}, and how far gradcast is from it: with the weights and the batch that Keras had, the largest ` +
      'relative difference of the loss / of the gradient in one training step, on each engine. The references are those of ' +
      '[test/reference](../test/reference/README.md): float64 where TensorFlow has it. `npm run conformance` makes this page; quick tests ' +
      'hold WebAssembly to these bounds for all cases, long tests native TensorFlow for all and the GPU engines for one case of every kind.',
    '',
    'The bounds are 1e-5 for a loss and 1e-4 for a gradient, relative to its norm; 1e-6 for what the coordinator computes. ' +
      'A cell in bold is outside. WebGL computes in a browser, WebGPU in Node, both on a GPU in software (SwiftShader): it shows that kernels and gradients are right, ' +
      'while the exponentials, roots and reciprocals of a real GPU may be less exact. Sines by WebGL are less exact on any: GLSL has no ' +
      'bound for their error. Those by WebGPU are computed from polynomials.',
    '',
    ...summarize(rows, figures),
    '',
    ...(notes.length === 0 ? [] : [...notes, '']),
    ...groups.flatMap((group) => {
      const own = rows.filter((row) => row.group === group);
      return own.length === 0 ? [] : section(group, own, figures);
    }),
  ].join('\n');
}

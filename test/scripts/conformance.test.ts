import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openAnswers } from '../support/conformance/answers.ts';
import { listCoordinatorCases } from '../support/conformance/coordinator-cases.ts';
import { renderDocument } from '../support/conformance/document.ts';
import { kerasNames } from '../support/conformance/keras-names.ts';
import { findUnchecked, groups, listRows } from '../support/conformance/rows.ts';
import { listStepCases, oneOfEveryKind } from '../support/conformance/step-cases.ts';

const rows = listRows();
const stepCases = listStepCases();
const document = readFileSync(new URL('../../docs/conformance.md', import.meta.url), 'utf8');

/** Rows of a group's tables in the document: the name and the second cell. */
function documentRows(group: string): (readonly [string, string])[] {
  const [, section = ''] = document.split(`## keras.${group}\n`);
  const [own = ''] = section.split('\n## ');
  return [...own.matchAll(/^\| `(\w+)` +\| ([^|]+?) +\|/gm)].map(([, name = '', cell = '']) => [name, cell]);
}

test.each(groups)('docs/conformance.md has each name of keras.%s once', (group) => {
  const expected = kerasNames.groups[group].map(({ name }) => name);
  expect(
    documentRows(group)
      .map(([name]) => name)
      .toSorted(),
  ).toEqual(expected.toSorted());
});

test('docs/conformance.md says of each name whether gradcast has it, and why not (npm run conformance)', () => {
  const wrong = groups.flatMap((group) => {
    const cells = new Map(documentRows(group));
    return rows
      .filter((row) => row.group === group)
      .filter(({ name, canonical, refusal }) => {
        const cell = cells.get(name) ?? '';
        if (refusal !== undefined) return cell !== `refused: ${refusal}`;
        return canonical === `${group}.${name}` ? !(Number(cell) > 0) : !cell.startsWith('as `');
      })
      .map(({ name }) => `${group}.${name}: ${cells.get(name) ?? 'missing'}`);
  });
  expect(wrong).toEqual([]);
});

test('every name that gradcast has is checked by a case', () => {
  const covered = new Set([...stepCases, ...listCoordinatorCases()].flatMap(({ covers }) => covers));
  expect(rows.length).toBeGreaterThan(400);
  expect(findUnchecked(rows, covered)).toEqual([]);
  expect(findUnchecked(rows, new Set())).toContain('layers.Conv2D');
});

test('layers, activations and losses are checked on engines, not only by the coordinator', () => {
  const onEngines = new Set(stepCases.flatMap(({ covers }) => covers));
  const own = rows.filter(({ group }) => ['layers', 'activations', 'losses'].includes(group));
  expect(findUnchecked(own, onEngines)).toEqual([]);
});

test('one case of every kind covers what all cases cover, with fewer of them', () => {
  const some = oneOfEveryKind(stepCases);
  const covered = (cases: typeof stepCases) => new Set(cases.flatMap(({ covers }) => covers));
  expect(covered(some)).toEqual(covered(stepCases));
  expect(some.length).toBeLessThan(stepCases.length / 3);
});

test('no case is without a name of Keras', () => {
  expect(stepCases.filter(({ covers }) => covers.length === 0).map(({ name }) => name)).toEqual([]);
});

test('a run resumes with the answers within the bounds that an earlier one kept', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gradcast-answers-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'answers');
  const answer = { loss: 1e-7, gradient: 2e-7 };
  const step = { kind: 'model', name: 'Add', covers: [] } as const;
  const { keep } = openAnswers(file);
  keep({ ...step, answers: new Map([['wasm', answer]]) });
  keep({ ...step, name: 'Dot', answers: new Map([['wasm', { loss: NaN, gradient: 0 }]]) });
  keep({ ...step, name: 'LSTM', answers: new Map([['wasm', { failed: 'no memory' }]]) });
  const { known } = openAnswers(file);
  expect(known(step, 'wasm')).toEqual(answer);
  expect(known(step, 'webgpu')).toBeUndefined();
  expect(known({ ...step, kind: 'layer' }, 'wasm')).toBeUndefined();
  expect(['Dot', 'LSTM'].map((name) => known({ ...step, name }, 'wasm'))).toEqual([undefined, undefined]);
});

test('no two cases of a kind have one name', () => {
  const names = stepCases.map(({ kind, name }) => `${kind} ${name}`);
  expect(new Set(names).size).toBe(names.length);
});

describe('the document', () => {
  const info = { backend: 'wasm', version: '1', device: 'CPU', threads: 1 };
  const figures = (gradient: number, kerasError = 0) => ({
    engines: new Map([
      ['wasm', { info }],
      ['webgl', { missing: 'no browser' }],
    ] as const),
    steps: [
      {
        kind: 'model' as const,
        name: 'Conv2D same',
        covers: ['layers.Conv2D'],
        kerasError,
        answers: new Map([['wasm', { loss: 2e-7, gradient }]] as const),
      },
    ],
    coordinator: [{ name: 'adam', covers: ['optimizers.Adam'], bound: 1e-6, difference: 0 }],
  });
  const shown = rows.filter(({ canonical }) =>
    ['layers.Conv2D', 'layers.CutMix', 'optimizers.Adam'].includes(canonical),
  );
  const render = (gradient: number, kerasError = 0): string =>
    renderDocument(shown, figures(gradient, kerasError), '3.15.1');

  test('has the differences of each engine, the other names of a class, and the reasons of refusals', () => {
    const text = render(3e-6);
    expect(text).toContain('| `Conv2D` | 1 | – | 2.0e-7 / 3.0e-6 | – | – |');
    expect(text).toContain('| `Convolution2D` | as `Conv2D` |');
    expect(text).toContain('| `Adam` | 1 | to the bit |');
    expect(text).toMatch(/\| `CutMix` \| refused: it mixes .+ \|/);
    expect(text).toContain('- WebGL: missing here (no browser).');
    expect(text).not.toContain('Outside');
  });

  test('has figures outside the bounds in bold, with the case', () => {
    expect(render(3e-4)).toContain('**2.0e-7 / 3.0e-4**');
    expect(render(3e-4)).toContain('- Outside the bounds: Conv2D same (wasm 2.0e-7 / 3.0e-4).');
    expect(render(NaN)).toContain('**2.0e-7 / not finite**');
  });

  test("explains a difference by that of Keras' own float32, if that is outside the bounds too", () => {
    expect(render(3e-4, 2e-4)).toContain("Keras' own float32 gradient differs by 2.0e-4");
    expect(render(3e-4, 1e-5)).not.toContain('own float32');
  });
});

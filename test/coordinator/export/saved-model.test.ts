import { expect, test } from 'vitest';
import { decodeSavedModel, TF_TYPES } from '../../../coordinator/export/saved-model-messages.ts';
import { combinationCases } from '../../support/export-combinations.ts';
import { exportCases, savedModelOf } from '../../support/export-cases.ts';
import { withNative } from '../../support/native.ts';
import { compareWithNative } from '../../support/saved-models.ts';

const cases = exportCases();
const caseOf = (name: string) => cases.find(([each]) => each === name)![1]();

test('the signature has the inputs and outputs, and the weights are constants', async () => {
  const each = await caseOf('Conv2D same');
  const [graph, ...others] = decodeSavedModel(savedModelOf(each)).metaGraphs;
  expect(others).toEqual([]);
  expect(graph?.metaInfoDef.tags).toEqual(['serve']);
  const dim = (sides: number[]) => ({ dim: sides.map((size) => ({ size })), unknownRank: false });
  expect(graph?.signatureDef).toMatchObject({
    serving_default: {
      methodName: 'tensorflow/serving/predict',
      inputs: { in_0: { name: 'input_0:0', dtype: TF_TYPES.float32, tensorShape: dim([-1, 9, 8, 2]) } },
      outputs: { out_0: { name: 'output_0:0', dtype: TF_TYPES.float32, tensorShape: dim([-1, 3]) } },
    },
  });
  const { node } = graph!.graphDef;
  const ops = node.map(({ op }) => op);
  expect(ops).not.toContain('VarHandleOp');
  expect(ops.filter((op) => op === 'Placeholder')).toHaveLength(1);
  const [kernel] = node.filter(({ name }) => name === each.names[0]);
  const { shape } = each.job.layout[0]!;
  expect(kernel?.attr.value?.tensor?.tensorShape).toEqual(dim([...shape]));
  const stored = each.weights.slice(
    0,
    shape.reduce((product, side) => product * side, 1),
  );
  expect(Buffer.from(kernel!.attr.value!.tensor!.tensorContent)).toEqual(Buffer.from(stored.buffer));
});

test('every node follows those that it uses, also in the functions of loops', async () => {
  const each = await caseOf('LSTM of sequences');
  const { node, library } = decodeSavedModel(savedModelOf(each)).metaGraphs[0]!.graphDef;
  expect(library.function.map(({ signature }) => signature.name.replace(/^.*_/, ''))).toEqual([
    'cond',
    'body',
  ]);
  const graphs = [
    { nodes: node, given: [] as string[] },
    ...library.function.map(({ nodeDef, signature }) => ({
      nodes: nodeDef,
      given: signature.inputArg.map(({ name }) => name),
    })),
  ];
  for (const { nodes, given } of graphs) {
    const known = new Set(given);
    for (const { name, input } of nodes) {
      for (const reference of input) expect(known).toContain(reference.replace(/:.*$/, ''));
      expect(known.has(name), name).toBe(false);
      known.add(name);
    }
    expect(nodes.length).toBeGreaterThan(1);
  }
});

await withNative((native) => {
  // saved-model.long.test.ts has all models.
  test.each([...combinationCases(), ...cases.filter((_, i) => i % 16 === 0)])(
    'TensorFlow computes what the engine computes: %s',
    async (_, prepare) => {
      await compareWithNative(native, await prepare());
    },
  );
});

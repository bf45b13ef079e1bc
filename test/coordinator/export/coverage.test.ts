import { expect, test } from 'vitest';
import { WRITTEN_LAYERS } from '../../../coordinator/export/graph/model-graph.ts';
import { WRITTEN_OPERATIONS } from '../../../coordinator/export/graph/operations.ts';
import { LAYER_CLASSES } from '../../../shared/model/layer-table.ts';
import { OPERATION_NAMES } from '../../../shared/model/operations.ts';

test('every layer that gradcast trains is written, apart from those that only others contain', () => {
  const missing = LAYER_CLASSES.filter((name) => !WRITTEN_LAYERS.includes(name));
  expect(missing).toEqual(['InputLayer', 'SimpleRNNCell', 'LSTMCell', 'GRUCell', 'StackedRNNCells']);
});

test('every operation between layers is written', () => {
  expect(WRITTEN_OPERATIONS.toSorted()).toEqual(OPERATION_NAMES.toSorted());
});

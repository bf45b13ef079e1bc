// Trains on a CSV file and exports the model as ONNX.
import { writeFileSync } from 'node:fs';
import { train } from 'gradcast';

// Length and width of petals, and where the flower stood: numbers, a category, and a few missing values.
const kinds = { setosa: [15, 3], versicolor: [43, 13], virginica: [56, 20] };
const rows = Object.entries(kinds).flatMap(([kind, [length, width]]) =>
  Array.from({ length: 100 }, (_, i) => {
    const petalLength = length + 6 * Math.sin(i * 12.9898);
    const petalWidth = i % 25 === 0 ? '' : (width + 3 * Math.sin(i * 78.233)).toFixed(1);
    return [petalLength.toFixed(1), petalWidth, i % 3 === 0 ? 'meadow' : 'wood', kind].join(',');
  }),
);
writeFileSync('irises.csv', ['petal_length,petal_width,place,kind', ...rows].join('\n'));

const model = await train(
  {
    data: { source: 'irises.csv', target: 'kind' },
    optimizer: { name: 'adam', learningRate: 0.01 },
    batchSize: 16,
    epochs: 15,
  },
  { workers: 1 },
);
console.log(`Test accuracy: ${model.scores.val_accuracy.toFixed(2)}`);

await model.export('model.onnx');
console.log('Exported model.onnx');

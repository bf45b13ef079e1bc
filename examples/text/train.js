// Trains on a text file, then lets the model continue a line.
import { writeFileSync } from 'node:fs';
import { train } from 'gradcast';

const LENGTH = 12;
const START = 'the cat sat ';
const animals = ['cat', 'rat', 'bat'];
const lines = Array.from({ length: 240 }, (_, i) => `the ${animals[i % 3]} sat on the mat.`);
writeFileSync('rhymes.txt', lines.join('\n'));

const model = await train(
  {
    data: { source: 'rhymes.txt', format: 'text', sequenceLength: LENGTH },
    optimizer: { name: 'adam', learningRate: 0.01 },
    batchSize: 16,
    epochs: 3,
  },
  { workers: 1 },
);
console.log(`Test accuracy: ${model.scores.val_accuracy.toFixed(2)}`);

// The tokenizer is saved with the model: character i has the number i + 1.
const { characters } = model.dataset.preprocessing.tokenizer;
let text = START;
while (text.length < START.length + 12) {
  const tokens = [...text.slice(-LENGTH)].map((character) => characters.indexOf(character) + 1);
  const [probabilities] = await model.predict([tokens]);
  // The model predicts the character after each one; the last is what follows the text.
  const next = Array.isArray(probabilities[0]) ? probabilities.at(-1) : probabilities;
  text += characters[next.indexOf(Math.max(...next)) - 1] ?? ' ';
}
console.log(`It writes: ${text}`);

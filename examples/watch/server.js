// A plain Node server with a coordinator below /train, and an observer of its run.
import { createServer } from 'node:http';
import { createCoordinator, train } from 'gradcast';
import { observe } from './observe.js';

const port = Number(process.env.PORT ?? 3000);
const coordinator = createCoordinator({ path: '/train', token: 's3cret' });
const server = createServer((request, response) => {
  if (!coordinator.handleRequest(request, response)) response.writeHead(404).end('Train at /train/\n');
});
server.on('upgrade', coordinator.handleUpgrade);
await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
const link = `http://localhost:${server.address().port}/train/#s3cret`;
console.log(link);

const x = Array.from({ length: 400 }, (_, i) => [Math.sin(i * 12.9898), Math.sin(i * 78.233)]);
const y = x.map(([a, b]) => Number(a * a + b * b < 0.8));
const run = train(
  {
    data: { x, y, name: 'circle' },
    model: (tf) =>
      tf.sequential({
        layers: [
          tf.layers.dense({ units: 16, activation: 'relu', inputShape: [2] }),
          tf.layers.dense({ units: 2, activation: 'softmax' }),
        ],
      }),
    optimizer: { name: 'adam', learningRate: 0.02 },
    batchSize: 40,
    epochs: 5,
  },
  { coordinator, workers: 1 },
);
await Promise.all([run, observe(link)]);
await coordinator.close();
server.close();

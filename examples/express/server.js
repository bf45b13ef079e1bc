// An Express server that trains beside its own routes: open http://localhost:3000/train in some browsers.
import { createServer } from 'node:http';
import express from 'express';
import { createCoordinator, train } from 'gradcast';

const port = Number(process.env.PORT ?? 3000);
const app = express();
const server = createServer(app);
const coordinator = createCoordinator({ path: '/train', token: process.env.TRAIN_TOKEN });
const state = { epochs: [], isDone: false };

app.use(coordinator.handleRequest);
app.get('/', (_request, response) => response.json(state));
server.on('upgrade', coordinator.handleUpgrade);
server.listen(port, '127.0.0.1', () => console.log(`http://localhost:${server.address().port}`));

// Two classes of points: inside and outside of a circle.
const x = Array.from({ length: 400 }, (_, i) => [Math.sin(i * 12.9898), Math.sin(i * 78.233)]);
const y = x.map(([a, b]) => Number(a * a + b * b < 0.8));

const run = train(
  {
    data: { x, y, name: 'circle' },
    model: ({ sequential, layers }) =>
      sequential({
        layers: [
          layers.dense({ units: 16, activation: 'relu', inputShape: [2] }),
          layers.dense({ units: 2, activation: 'softmax' }),
        ],
      }),
    optimizer: { name: 'adam', learningRate: 0.02 },
    batchSize: 40,
    epochs: Number(process.env.EPOCHS ?? 10),
  },
  { coordinator, workers: Number(process.env.WORKERS ?? 1), engine: 'wasm' },
);
for await (const event of run) {
  if (event.type === 'epoch') state.epochs.push({ epoch: event.epoch, accuracy: event.val_accuracy });
}
await run;
state.isDone = true;

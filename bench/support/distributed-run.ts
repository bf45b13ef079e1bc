// A small distributed run: a coordinator in this process, and workers as `train` starts them. Answers every number with the
// milliseconds of that many steps, with sockets, sum, Adadelta and broadcast.
// Arguments: engine, workers, batch, and the threads of each worker if not chosen by it
import { startLocalWorkers } from '../../coordinator/pool/local-workers.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import { startInProcessCoordinator } from './in-process-coordinator.ts';

const [, , engine = 'wasm', workersText = '2', batchText = '128', threadsText] = process.argv;
const workers = Number(workersText);
const here = await startInProcessCoordinator({ workers, batch: Number(batchText), batches: 16 });
const local = startLocalWorkers({
  count: workers,
  command: [process.execPath, 'bin/gradcast.js'],
  url: here.url,
  engine: engine as EngineChoice,
  threads: threadsText === undefined ? undefined : Number(threadsText),
  onLine: (line) => process.stderr.write(`${line}\n`),
});
void local.exited.then((output) => {
  process.stderr.write(`The workers have ended: ${output}\n`);
  process.exit(1);
});
await here.allWorkersReady();

process.on('message', (count: number) => void run(count));
process.once('disconnect', () => void local.stop().then(() => process.exit(0)));
process.send?.('ready');

async function run(count: number): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await here.step());
  process.send?.(times);
}

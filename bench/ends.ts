// How worker processes end: every way, many times, and how often with which exit code. Ends with 1 if one was not in order.
// Arguments: [native | wasm] [count = 50] [at once = 2]
import { availableParallelism } from 'node:os';
import { endsCoordinator, WORKER_ENDS, type WorkerEnd } from '../test/support/worker-ends.ts';

const [, , engine = 'native', countText = '50', atOnceText = String(availableParallelism())] = process.argv;
const coordinator = await endsCoordinator();
console.log(`Node ${process.version}, ${engine}, ${countText} of each`);
for (const way of WORKER_ENDS) {
  const codes = await countCodes(way);
  const text = [...codes].map(([code, times]) => `${code}: ${times}`).join(', ');
  const isRight = [...codes.keys()].every((code) => way.expected.includes(code));
  console.log(`${way.name.padEnd(42)} ${text}${isRight ? '' : '   NOT IN ORDER'}`);
  if (!isRight) process.exitCode = 1;
}
await coordinator.close('done');

async function countCodes({ run }: WorkerEnd): Promise<Map<number | string, number>> {
  const codes = new Map<number | string, number>();
  let left = Number(countText);
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const { code } = await run(engine, coordinator);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: Number(atOnceText) }, one));
  return codes;
}

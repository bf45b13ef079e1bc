// Ends workers and runs in every known way, many times, and counts the exit codes. Exits with 1 if a code was unexpected, or if
// processes or temporary files were left.
// Arguments: [native | wasm] [count = 50] [concurrent = 2]
import { availableParallelism } from 'node:os';
import { createExitEnvironment, EXIT_CASES, type ExitCase } from '../test/support/worker-exits.ts';

const [, , engine = 'native', countText = '50', atOnceText = String(availableParallelism())] = process.argv;
const environment = await createExitEnvironment(engine);
console.log(`Node ${process.version}, ${engine}, ${countText} of each`);
for (const way of EXIT_CASES) {
  const codes = await countCodes(way);
  const text = [...codes].map(([code, times]) => `${code}: ${times}`).join(', ');
  const left = await environment.findLeftovers();
  const isRight = left.length === 0 && [...codes.keys()].every((code) => way.expected.includes(code));
  console.log(`${way.name.padEnd(60)} ${text}${isRight ? '' : `   UNEXPECTED ${left.join(', ')}`}`);
  if (!isRight) process.exitCode = 1;
}
await environment.close();

async function countCodes({ run }: ExitCase): Promise<Map<number | string, number>> {
  const codes = new Map<number | string, number>();
  let left = Number(countText);
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const { code } = await run(environment);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: Number(atOnceText) }, one));
  return codes;
}

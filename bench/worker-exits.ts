// Ends workers and runs in every known way, many times, and counts the exit codes. Exits with 1 if a code was unexpected, or if
// processes or temporary files were left.
// Arguments: [native | wasm] [count = 50] [concurrent = 2]
import { availableParallelism } from 'node:os';
import { createExitEnvironment, EXIT_CASES, type ExitCase } from '../test/support/worker-exits.ts';

const [, , engine = 'native', countText = '50', concurrentText = String(availableParallelism())] =
  process.argv;
const environment = await createExitEnvironment(engine);
console.log(`Node ${process.version}, ${engine}, ${countText} of each`);
for (const exitCase of EXIT_CASES) {
  const codes = await countCodes(exitCase);
  const text = [...codes].map(([code, times]) => `${code}: ${times}`).join(', ');
  const leftovers = await environment.findLeftovers();
  const isExpected =
    leftovers.length === 0 && [...codes.keys()].every((code) => exitCase.expected.includes(code));
  console.log(
    `${exitCase.name.padEnd(60)} ${text}${isExpected ? '' : `   UNEXPECTED ${leftovers.join(', ')}`}`,
  );
  if (!isExpected) process.exitCode = 1;
}
await environment.close();

async function countCodes({ run }: ExitCase): Promise<Map<number | string, number>> {
  const codes = new Map<number | string, number>();
  let remaining = Number(countText);
  const one = async (): Promise<void> => {
    while (remaining-- > 0) {
      const { code } = await run(environment);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: Number(concurrentText) }, one));
  return codes;
}

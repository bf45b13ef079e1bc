// node scripts/get-programs.js NAME [--if-possible]: installs programs that some long tests need, such as slurm.
// With --if-possible, a failure is no error.
import { getPrograms } from './package-manager.js';
import { testPrograms } from './test-programs.js';

const args = process.argv.slice(2);
const name = args.find((arg) => !arg.startsWith('--')) ?? '';
const programs = testPrograms[name];
if (programs === undefined) {
  console.error(
    `gradcast: no programs ${JSON.stringify(name)}. There are: ${Object.keys(testPrograms).join(', ')}.`,
  );
  process.exit(1);
}
const { advice } = getPrograms(programs);
if (advice) {
  console.error(`gradcast: ${programs.what}: ${advice}`);
  if (!args.includes('--if-possible')) process.exit(1);
  console.error(`gradcast: the tests with ${programs.what} are skipped.`);
} else console.log(`${programs.what}: installed`);

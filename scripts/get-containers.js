// node scripts/get-containers.js [--if-possible]: installs what the tests of deploy/ build and run images with, if it is
// missing. With --if-possible, a failure is no error.
import { getContainerTools } from './containers.js';

const advice = getContainerTools();
if (advice === null) console.log('Images of containers can be built.');
else {
  console.error(`gradcast: ${advice}`);
  if (!process.argv.includes('--if-possible')) process.exit(1);
  console.error('gradcast: the tests of images are skipped.');
}

// npm start: installs what is missing, builds, and trains.
import { ensureInstalled } from './install.js';

ensureInstalled();
const { buildAll } = await import('./build.js');
await buildAll();
process.argv.splice(2, 0, 'train');
await import('../bin/gradcast.js');

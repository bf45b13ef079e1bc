// npm start: installs missing packages, builds, and trains.
process.argv.splice(2, 0, 'train');
await import('../bin/gradcast.js');

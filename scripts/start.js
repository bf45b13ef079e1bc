// npm start: installs what is missing, builds, and trains.
process.argv.splice(2, 0, 'train');
await import('../bin/gradcast.js');

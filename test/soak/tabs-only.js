// node test/soak/tabs-only.js [--tabs 2] [--limit 16000] [--epochs 4] [--accuracy 0.97]
// A run without Node workers: tabs of headless Chromium train on the first samples of real MNIST (MNIST_DIR) and must reach
// the accuracy on the test data. Takes minutes. Run `npm run build` first.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findBrowser } from '../../scripts/browser.js';

const { values } = parseArgs({
  options: {
    tabs: { type: 'string', default: '2' },
    limit: { type: 'string', default: '16000' },
    epochs: { type: 'string', default: '4' },
    accuracy: { type: 'string', default: '0.97' },
  },
});
const gradcast = fileURLToPath(new URL('../../bin/gradcast.js', import.meta.url));
const out = mkdtempSync(join(tmpdir(), 'gradcast-tabs-'));
const startedMs = performance.now();
const options = ['--limit', values.limit, '--epochs', values.epochs, '--min-workers', values.tabs];
const coordinator = spawn(
  process.execPath,
  [gradcast, 'coordinator', '--host', '127.0.0.1', '--port', '0', '--out', join(out, 'run'), ...options],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
const ended = new Promise((resolve) => coordinator.once('exit', resolve));
const url = await new Promise((resolve, reject) => {
  createInterface(coordinator.stdout).on('line', (line) => {
    console.log(line);
    const at = /http:\/\/(127\.0\.0\.1:\d+)/.exec(line)?.[1];
    if (at) resolve(`http://${at}/?engine=wasm`);
  });
  void ended.then(() => reject(new Error('The coordinator ended before it listened.')));
});
// Started without Playwright, which intercepts every WebSocket frame.
const browsers = Array.from({ length: Number(values.tabs) }, (_, i) =>
  spawn(
    findBrowser() ?? 'chromium',
    [
      ...['--headless', '--remote-debugging-port=0', `--user-data-dir=${join(out, `tab-${i}`)}`],
      ...['--disable-3d-apis', '--disable-background-networking', '--disable-component-update'],
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      url,
    ],
    { stdio: 'ignore' },
  ),
);
const gone = browsers.map((browser) => new Promise((resolve) => browser.once('exit', resolve)));
const code = await ended;
for (const browser of browsers) browser.kill();
await Promise.all(gone);
const epochs = readFileSync(join(out, 'run/history.jsonl'), 'utf8').trim().split('\n');
const { val_accuracy: reached, data } = JSON.parse(epochs.at(-1));
rmSync(out, { recursive: true, force: true, maxRetries: 5 });
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
const good = code === 0 && reached >= Number(values.accuracy);
console.log(
  `${values.tabs} tabs without other workers, ${values.limit} samples of ${data}, ${epochs.length} epochs: ` +
    `val_accuracy ${reached} after ${seconds} s, ${good ? 'as required' : 'BELOW the requirement'}.`,
);
process.exitCode = good ? 0 : 1;

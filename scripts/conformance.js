// npm run conformance [-- OPTIONS]: computes the reference cases of Keras on every engine of this machine, prints how far
// gradcast is from Keras, and writes docs/conformance.md.
//   --engines LIST  engines to compute on: wasm, native, webgl, webgpu (default: all)
//   --only NAME     only cases of names that contain NAME, such as layers.Conv2D or lstm; writes no document
//   --answers FILE  keep answers within the bounds in FILE, and take those that it has instead of computing them again: to resume a
//                   run, or to compute engines one after the other. Remove it after a change of what is computed
//   --help          print this help
// With --engines the document is not written either, since columns would be empty. Cases outside the bounds are printed at once.
import { readFileSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureInstalled, root } from './install.js';

const DOCUMENT = `${root}/docs/conformance.md`;
/** Pause between two lines of progress where they do not replace each other. */
const LINE_MS = 15_000;
/** Cases whose times the time that is left is estimated from. */
const RECENT_CASES = 30;

function readOptions() {
  const options = {
    engines: { type: 'string' },
    only: { type: 'string' },
    answers: { type: 'string' },
    help: { type: 'boolean' },
  };
  try {
    return parseArgs({ options, allowPositionals: false }).values;
  } catch (error) {
    fail(`${error.message} See npm run conformance -- --help.`);
  }
}

function fail(message) {
  console.error(`gradcast: ${message}`);
  process.exit(1);
}

function printHelp() {
  const text = readFileSync(fileURLToPath(import.meta.url), 'utf8');
  const lines = text.slice(0, text.indexOf('\nimport')).split('\n');
  console.log(lines.map((line) => line.replace(/^\/\/ ?/, '')).join('\n'));
}

/** Reports progress with the time that is left. */
function createProgress() {
  // Kept answers and cases without an engine take no time: the last cases tell more than all.
  const startsMs = [];
  let printedMs = -Infinity;
  return (done, total, name) => {
    const nowMs = performance.now();
    const recent = startsMs.length;
    const leftS = recent === 0 ? null : ((nowMs - startsMs[0]) / recent / 1000) * (total - done);
    startsMs.push(nowMs);
    if (recent === RECENT_CASES) startsMs.shift();
    const left = leftS === null ? '' : `, about ${Math.ceil(leftS / 5) * 5} s left`;
    const text = `${done} of ${total} cases${left}  ${name}`;
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
      if (done === total) process.stderr.write('\n');
    } else if (done === total || nowMs - printedMs >= LINE_MS) {
      printedMs = nowMs;
      console.error(text);
    }
  };
}

const { engines, only, answers, help } = readOptions();
if (help) {
  printHelp();
  process.exit(0);
}
await ensureInstalled({ checks: true });
register('./typescript-hooks.js', import.meta.url);
const folder = '../test/support/conformance';
const { ENGINES } = await import(`${folder}/engines.ts`);
const { measureAll } = await import(`${folder}/measure-all.ts`);
const { listRows } = await import(`${folder}/rows.ts`);
const { openAnswers } = await import(`${folder}/answers.ts`);
const { remark, renderDocument, summarize } = await import(`${folder}/document.ts`);
const { kerasNames } = await import(`${folder}/keras-names.ts`);

const wanted = engines?.split(',') ?? ENGINES;
const unknown = wanted.find((name) => !ENGINES.includes(name));
if (unknown !== undefined) fail(`there is no engine '${unknown}'. Engines: ${ENGINES.join(', ')}.`);

const earlier = answers === undefined ? undefined : openAnswers(answers);
const figures = await measureAll({
  engines: wanted,
  only,
  onEngines(opened) {
    for (const [name, status] of opened) {
      const about = 'missing' in status ? `missing: ${status.missing}` : status.info.device;
      console.error(`${name}: ${about}`);
    }
  },
  onProgress: createProgress(),
  known: earlier?.known,
  onStep(step) {
    earlier?.keep(step);
    const text = remark(step);
    if (text !== null) console.error(text);
  },
});
if (figures.steps.length + figures.coordinator.length === 0) fail(`no name of Keras contains '${only}'.`);
const all = listRows();
const isPart = only !== undefined || engines !== undefined;
const part = (only ?? '').toLowerCase();
const rows = all.filter(({ canonical }) => canonical.toLowerCase().includes(part));
const { format } = await import('prettier');
const text = await format(renderDocument(rows, figures, kerasNames.versions.keras), {
  parser: 'markdown',
  printWidth: 130,
  proseWrap: 'always',
});
console.log(isPart ? text : summarize(rows, figures).join('\n'));
if (!isPart) {
  writeFileSync(DOCUMENT, text);
  console.log('Written: docs/conformance.md');
}
process.exit(0);

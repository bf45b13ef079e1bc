// node scripts/picture.js [FILE = docs/images/run.webp]: trains for half a minute and makes a moving picture of the terminal and of
// the page beside it. Needs Linux's `script`, a Chromium and MNIST (MNIST_DIR, or a network).
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import xterm from '@xterm/headless';
import { chromium } from 'playwright-core';
import sharp from 'sharp';
import { findBrowser } from './browser.js';

const [, , file = 'docs/images/run.webp'] = process.argv;
const COMMAND = 'npm start -- --epochs 3 --limit 9000';
const [COLUMNS, ROWS] = [118, 18];
/** Pixels of the picture. */
const [WIDTH, TERMINAL_HEIGHT, PAGE_HEIGHT] = [960, 330, 640];
/** Time between two pictures while the run trains, and as they are shown. */
const [EVERY_MS, SHOWN_MS, LAST_MS] = [700, 260, 4_000];

const folder = await mkdtemp(join(tmpdir(), 'gradcast-picture-'));
// A clone with a cache of its own, as a new user has them: the picture has no path of this machine, and no other engine.
const clone = join(folder, 'gradcast');
const root = fileURLToPath(new URL('..', import.meta.url));
execFileSync('git', ['clone', '--quiet', root, clone]);
await cp(join(root, 'node_modules'), join(clone, 'node_modules'), {
  recursive: true,
  verbatimSymlinks: true,
});
const { MNIST_DIR, ...env } = process.env;
if (MNIST_DIR) await cp(MNIST_DIR, join(folder, 'cache/gradcast/mnist'), { recursive: true });
const terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, allowProposedApi: true });
terminal.write(`$ ${COMMAND}\r\n`);
const train = `stty cols ${COLUMNS} rows ${ROWS} && exec ${COMMAND} --out runs/first`;
const child = spawn('script', ['-qfec', train, '/dev/null'], {
  env: { ...env, TERM: 'xterm-256color', XDG_CACHE_HOME: join(folder, 'cache') },
  cwd: clone,
  stdio: ['ignore', 'pipe', 'inherit'],
});
let printed = '';
child.stdout.on('data', (data) => {
  // npm's own two lines, and what its script runs.
  const text = data.toString().replaceAll(/^> .*\r?\n/gm, '');
  printed += text;
  terminal.write(text);
});
let isOver = false;
const ended = once(child, 'exit').then(() => (isOver = true));

const browser = await chromium.launch({
  executablePath: findBrowser() ?? undefined,
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
});
try {
  const page = await browser.newPage({ viewport: { width: WIDTH, height: PAGE_HEIGHT } });
  const shots = [];
  let isOpen = false;
  while (!isOver) {
    const url = /https?:\/\/127\.0\.0\.1:\d+\/\S*/.exec(printed)?.[0];
    if (!isOpen && url !== undefined) {
      await page.goto(url.includes('#') ? url.replace('#', '?watch#') : `${url}?watch`);
      isOpen = true;
    }
    shots.push({ lines: linesOf(terminal), page: isOpen ? await page.screenshot({ type: 'png' }) : null });
    await pause(EVERY_MS);
  }
  await ended;
  await pause(EVERY_MS);
  shots.push({ lines: linesOf(terminal), page: await page.screenshot({ type: 'png' }) });

  const stage = await browser.newPage({ viewport: { width: WIDTH, height: TERMINAL_HEIGHT + PAGE_HEIGHT } });
  const frames = [];
  for (const shot of shots) {
    await stage.setContent(htmlOf(shot));
    frames.push(await stage.screenshot({ type: 'png' }));
  }
  const delay = frames.map((_, i) => (i === frames.length - 1 ? LAST_MS : SHOWN_MS));
  await sharp(frames, { join: { animated: true } })
    .webp({ delay, loop: 0, quality: 60, effort: 5 })
    .toFile(file);
  console.log(`${file}: ${frames.length} pictures of ${WIDTH} x ${TERMINAL_HEIGHT + PAGE_HEIGHT}`);
} finally {
  await browser.close();
  child.kill('SIGINT');
  await ended;
  await rm(folder, { recursive: true, force: true });
}

/** Lines of the screen as HTML, with the colours of their cells. */
function linesOf(screen) {
  const buffer = screen.buffer.active;
  return Array.from({ length: ROWS }, (_, y) => {
    const line = buffer.getLine(buffer.viewportY + y);
    let html = '';
    for (let x = 0; line !== undefined && x < COLUMNS; x++) {
      const cell = line.getCell(x);
      const chars = (cell.getChars() || ' ').replace('&', '&amp;').replace('<', '&lt;');
      const classes = [
        ...(cell.isFgPalette() ? [`c${cell.getFgColor() % 8}`] : []),
        ...(cell.isBold() ? ['bold'] : []),
        ...(cell.isDim() ? ['dim'] : []),
      ];
      html += classes.length > 0 ? `<i class="${classes.join(' ')}">${chars}</i>` : chars;
    }
    return html.trimEnd();
  });
}

function htmlOf({ lines, page }) {
  const picture = page === null ? '' : `<img src="data:image/png;base64,${page.toString('base64')}">`;
  return `<!doctype html><style>
    body { margin: 0; background: #f4f4f2; }
    pre { margin: 0; height: ${TERMINAL_HEIGHT - 28}px; padding: 14px 18px; overflow: hidden; background: #16181d; color: #d7dae0;
      font: 13px/17px 'DejaVu Sans Mono', Menlo, Consolas, monospace; }
    i { font-style: normal; } .bold { font-weight: bold; } .dim { opacity: 0.65; }
    .c0 { color: #888; } .c1 { color: #f47067; } .c2 { color: #6bc46d; } .c3 { color: #daaa3f; }
    .c4 { color: #6cb6ff; } .c5 { color: #dcbdfb; } .c6 { color: #56d4dd; } .c7 { color: #fff; }
    img { display: block; width: ${WIDTH}px; height: ${PAGE_HEIGHT}px; }
  </style><pre>${lines.join('\n')}</pre>${picture}`;
}

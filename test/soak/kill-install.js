// node test/soak/kill-install.js [--kills 10] [--seed 1] [--within SECONDS]
// Kills `gradcast engine install` at random moments, each time in an empty cache, and installs again. The second
// installation must work and leave only the engine. Takes minutes, downloads the wheel twice for each kill, and needs a
// machine on which the installation works.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { clearTimeout } from 'node:timers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    within: { type: 'string', default: '75' },
  },
});
const kills = Number(values.kills);
const seed = Number(values.seed);
const withinS = Number(values.within);
const gradcast = fileURLToPath(new URL('../../bin/gradcast.js', import.meta.url));

/** State of mulberry32, which draws numbers in [0, 1) from the seed alone. */
let state = seed;
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

const scratch = mkdtempSync(join(tmpdir(), 'gradcast-kills-'));
let failed = 0;
for (let kill = 1; kill <= kills; kill++) {
  const home = join(scratch, String(kill));
  const cacheDir = join(home, 'gradcast', 'engine');
  mkdirSync(home);
  // Half of the kills leave child processes alive, like a kill by hand. The other half kill all, like a power cut.
  const all = kill % 2 === 0;
  const afterMs = 500 + random() * (withinS * 1000 - 500);
  const first = start(home);
  const timer = setTimeout(() => killTree(first.child.pid, all), afterMs);
  const { signal, lastLine } = await first.ended;
  clearTimeout(timer);
  const left = folders(cacheDir);
  const startedMs = performance.now();
  const { code, output } = await start(home).ended;
  const seconds = (performance.now() - startedMs) / 1000;
  const now = folders(cacheDir);
  const good = code === 0 && /There already, and works|It works/.test(output) && now.length === 1;
  if (!good) failed++;
  console.log(
    `${kill}: ${signal === null ? 'finished' : `killed${all ? ' with all child processes' : ''}`} ` +
      `after ${(afterMs / 1000).toFixed(1)} s, at "${lastLine.trim()}", leaving ${left.join(', ') || 'nothing'}; ` +
      `again: ${good ? 'works' : `FAILED (${code})`} after ${seconds.toFixed(0)} s, leaving ${now.join(', ')}`,
  );
  if (!good) console.log(output);
  rmSync(home, { recursive: true, force: true, maxRetries: 3 });
}
rmSync(scratch, { recursive: true, force: true });
console.log(failed === 0 ? `All ${kills} installations worked.` : `${failed} of ${kills} failed.`);
process.exitCode = failed === 0 ? 0 : 1;

function start(home) {
  const child = spawn(process.execPath, [gradcast, 'engine', 'install'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, XDG_CACHE_HOME: home, GRADCAST_NATIVE_DIR: '' },
  });
  let output = '';
  const keep = (chunk) => (output += chunk);
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  return {
    child,
    ended: new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        // Not on 'close': child processes may still hold the pipes.
        setTimeout(
          () => resolve({ code, signal, output, lastLine: output.trim().split('\n').at(-1) ?? '' }),
          100,
        );
      });
    }),
  };
}

/** Kills a process group; with `all`, also the groups of all descendants. */
function killTree(pid, all) {
  const groups = new Set([pid]);
  if (all) {
    const rows = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,pgid='], { encoding: 'utf8' })
      .trim()
      .split('\n')
      .map((row) => row.trim().split(/\s+/).map(Number));
    const family = new Set([pid]);
    for (let grown = -1; grown !== family.size;) {
      grown = family.size;
      for (const [each, parent, group] of rows) {
        if (!family.has(parent)) continue;
        family.add(each);
        groups.add(group);
      }
    }
  }
  for (const group of groups) {
    try {
      process.kill(-group, 'SIGKILL');
    } catch {
      // The group has ended.
    }
  }
}

function folders(cacheDir) {
  try {
    return readdirSync(cacheDir);
  } catch {
    return [];
  }
}

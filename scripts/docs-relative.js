// Makes the built site independent of its place: VitePress builds for one path of one server.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PLACE_BASE } from './docs-pages.js';

/** The site's place, which the script of each page works out. */
const BASE = '(__VP_SITE_DATA__.base)';

/**
 * Replaces the base that VitePress has written into pages and scripts.
 * @returns number of pages
 * @throws Error if a file still has it
 */
export function makeRelative(folder) {
  const files = readdirSync(folder, { recursive: true }).filter((path) => /\.(?:html|js|css)$/.test(path));
  for (const path of files) {
    const text = readFileSync(join(folder, path), 'utf8');
    if (!text.includes(PLACE_BASE)) continue;
    const changed = path.endsWith('.html') ? adaptPage(text, path) : adaptScript(text);
    if (changed.includes(PLACE_BASE))
      throw new Error(`${path} of the site has a path that holds in one place only.`);
    writeFileSync(join(folder, path), changed);
  }
  return files.filter((path) => path.endsWith('.html')).length;
}

/** Paths of a page become relative to it. Its script works out the base, and makes links absolute, which stay when the page changes. */
function adaptPage(text, path) {
  const up =
    path
      .replaceAll('\\', '/')
      .split('/')
      .slice(1)
      .map(() => '..')
      .join('/') || '.';
  const script = `<script>__VP_SITE_DATA__.base=new URL("${up}/",location.href).pathname;document.querySelectorAll('a[href]:not([href^="#"])').forEach(a=>{a.href=a.href})</script>`;
  return text
    .replaceAll(`\\"base\\":\\"${PLACE_BASE}\\"`, '\\"base\\":\\"/\\"')
    .replaceAll(`href="${PLACE_BASE}"`, `href="${up}/index.html"`)
    .replaceAll(`"${PLACE_BASE}`, `"${up}/`)
    .replace('</body>', `${script}</body>`);
}

/** Literals of a script become expressions. The index of the search is one long literal, whatever its quotes. */
function adaptScript(text) {
  const whole = text.replaceAll(`"${PLACE_BASE}"`, BASE);
  const [, quote = ''] = /=(["'`])\{\\?"documentCount/.exec(whole) ?? [];
  return whole.replaceAll(PLACE_BASE, quote === '`' ? `\${${BASE}}` : `${quote}+${BASE}+${quote}`);
}

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, extname, join } from 'node:path';
import type { AxeResults } from 'axe-core';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { NO_GPU, openChromium } from '../support/chromium.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import { root } from './documents.ts';

const site = join(root, 'dist/docs');
const readPage = (page: string): string => readFileSync(join(site, page), 'utf8');

/** Values of an attribute in the tags of a page. */
const attributes = (text: string, tag: string, name: string): string[] =>
  [...text.matchAll(new RegExp(`<${tag}\\b[^>]*?\\s${name}="([^"]*)"`, 'g'))].map(([, value = '']) =>
    value.replaceAll('&amp;', '&'),
  );

let pages: string[];
beforeAll(() => {
  // VitePress ends with an error if a link between pages is dead.
  execFileSync(process.execPath, [join(root, 'scripts/docs.js')], { cwd: root, stdio: 'pipe' });
  pages = readdirSync(site, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.html'));
}, 600_000);

test('the site has a page for each document, command and entry of the package', () => {
  expect(pages).toEqual(
    expect.arrayContaining([
      ...[
        'index.html',
        'guide/start.html',
        'decisions/index.html',
        'own-data.html',
        'reference/protocol.html',
      ],
      ...['gradcast', 'gradcast-browser', 'gradcast-protocol', 'gradcast-worker'].map(
        (name) => `reference/api/${name}.html`,
      ),
    ]),
  );
  expect(readPage('reference/commands.html')).toContain('id="gradcast-coordinator"');
  expect(readPage('reference/commands.html')).toContain('--resume-or-start');
  expect(readPage('reference/api/gradcast.html')).toContain('createCoordinator');
});

test('every link of every page leads to a file of the site, and to a place in it', () => {
  const ids = new Map(pages.map((page) => [page, new Set(attributes(readPage(page), '[a-z0-9]+', 'id'))]));
  const dead = pages
    .filter((page) => page !== '404.html')
    .flatMap((page) =>
      attributes(readPage(page), 'a', 'href')
        .filter((href) => !/^(?:https?|mailto):/.test(href))
        .filter((href) => {
          const [path = '', anchor = ''] = href.split('#');
          const target = path === '' ? page : join(dirname(page), decodeURI(path));
          if (!existsSync(join(site, target))) return true;
          return anchor !== '' && ids.get(target)?.has(decodeURIComponent(anchor)) === false;
        })
        .map((href) => `${page}: ${href}`),
    );
  expect(dead).toEqual([]);
});

test('pages load nothing from elsewhere, and their paths hold in any folder', () => {
  for (const page of pages) {
    const text = readPage(page);
    const loaded = [
      ...attributes(text, 'script', 'src'),
      ...attributes(text, 'link', 'href'),
      ...attributes(text, 'img', 'src'),
    ];
    expect(loaded.filter((path) => !path.startsWith('.'))).toEqual([]);
    expect(
      loaded.filter((path) => page !== '404.html' && !existsSync(join(site, dirname(page), path))),
    ).toEqual([]);
  }
  const styles = readdirSync(join(site, 'assets')).filter((name) => name.endsWith('.css'));
  for (const name of styles) expect(readPage(`assets/${name}`)).not.toMatch(/url\(['"]?https?:|@import/);
});

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
};

/** Serves the site. @returns its address */
async function serveSite(): Promise<string> {
  const server = createServer(({ url = '/' }, response) => {
    const file = join(site, new URL(url, 'http://site').pathname);
    if (!existsSync(file)) response.writeHead(404).end();
    else
      response
        .writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' })
        .end(readFileSync(file));
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describeInBrowser('in a browser', () => {
  test('axe finds no violation on pages of each kind, light and dark, wide and narrow', async () => {
    const address = await serveSite();
    const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const browser = await openChromium(NO_GPU);
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    for (const path of [
      ...['index.html', 'guide/start.html', 'guide/browsers.html', 'architecture.html'],
      ...['reference/commands.html', 'reference/api/gradcast.html'],
    ]) {
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        await page.goto(`${address}/${path}`, { waitUntil: 'networkidle' });
        await page.evaluate(axe);
        for (const width of [390, 1440]) {
          await page.setViewportSize({ width, height: 900 });
          const { violations } = await page.evaluate(() =>
            (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
          );
          expect(
            violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]),
            `${path}, ${colorScheme}, ${width} pixels wide`,
          ).toEqual([]);
        }
      }
    }
  });
});

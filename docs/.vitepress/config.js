// The documents as a site: `npm run docs`. Fonts, search and scripts are in the site itself, so that it works without a network.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { anchorOf, apiPage, COPIED, ENTRIES, PLACE_BASE } from '../../scripts/docs-pages.js';

const docs = fileURLToPath(new URL('..', import.meta.url));
const root = join(docs, '..');
/** Page of the site for a document of the repository outside docs/. */
const pageOf = new Map(Object.entries(COPIED).map(([page, source]) => [source, `docs/${page}`]));
const sourceOf = (page) =>
  COPIED[page] ?? `docs/${page.replace(/^decisions\/index\.md$/, 'decisions/README.md')}`;

/**
 * Links between documents are written for a reader of the repository. In the site, a link to a document becomes one to its page, and a
 * link to another file becomes its text.
 */
function adaptLinks(md) {
  md.core.ruler.push('repository-links', (state) => {
    const page = state.env.relativePath;
    for (const token of state.tokens) {
      if (token.info === 'hex') token.info = 'txt';
      const { children } = token;
      if (!children) continue;
      adaptChildren(children, page);
      // A docstring's <script> is text.
      for (const token of children) {
        if (token.type === 'html_inline' && !/^<(?:br \/|a id=.*|\/a)>$/.test(token.content))
          token.type = 'text';
      }
    }
  });
}

/** Puts figures into their pages, so that they take the page's colors, which the reader may switch. */
function inlineFigures(md) {
  const renderImage = md.renderer.rules.image;
  md.renderer.rules.image = (tokens, i, options, env, self) => {
    const source = tokens[i].attrGet('src') ?? '';
    if (!source.endsWith('.svg')) return renderImage(tokens, i, options, env, self);
    const svg = readFileSync(join(docs, dirname(env.relativePath), source), 'utf8');
    return `<span class="figure">${svg.replace(/<style>[^]*?<\/style>/, '')}</span>`;
  };
}

function adaptChildren(children, page) {
  let isRemoved = false;
  for (const token of children) {
    if (token.type === 'link_close' && isRemoved) token.tag = 'span';
    if (token.type !== 'link_open') continue;
    const href = token.attrGet('href') ?? '';
    isRemoved = false;
    if (/^(?:[a-z]+:|#|\/)/.test(href)) continue;
    const [path = '', hash] = href.split('#');
    const target = relative(root, join(root, dirname(sourceOf(page)), decodeURI(path)));
    const found = pageOf.get(target) ?? (target.startsWith('docs/') ? target : undefined);
    if (found?.endsWith('.md') && isPage(found)) {
      const to = relative(dirname(join('docs', page)), found).replace(/(^|\/)README\.md$/, '$1index.md');
      token.attrSet('href', (to.startsWith('.') ? to : `./${to}`) + (hash === undefined ? '' : `#${hash}`));
    } else if (found?.endsWith('.md') !== true) {
      // VitePress reports other links to documents as dead.
      token.tag = 'span';
      token.attrs = [['class', 'repository-file']];
      isRemoved = true;
    }
  }
}

/** Whether a path from the root of the repository, docs/ before it, is that of a page. */
const isPage = (path) => existsSync(join(root, 'dist/.docs/pages', relative('docs', path)));

const pages = (...list) => list.map(([text, link]) => ({ text, link }));

const apiPages = pages(
  ...Object.keys(ENTRIES).map((entry) => [entry, `/${apiPage(entry).replace('.md', '')}`]),
);

/** @type {import('vitepress').UserConfig} */
export default {
  title: 'gradcast',
  description: 'Trains one model on many machines: GPU boxes, CPU cores and browser tabs, over WebSockets.',
  lang: 'en',
  base: PLACE_BASE,
  srcDir: '../dist/.docs/pages',
  outDir: '../dist/docs',
  cacheDir: '../dist/.docs/cache',
  rewrites: { 'decisions/README.md': 'decisions/index.md' },
  // The site has no server that would know it by time stamps, and no page names its author.
  lastUpdated: false,
  head: [['meta', { name: 'color-scheme', content: 'light dark' }]],
  markdown: {
    anchor: { slugify: anchorOf },
    config: (md) => [adaptLinks, inlineFigures].forEach((adapt) => adapt(md)),
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
  },
  vite: { logLevel: 'warn', build: { chunkSizeWarningLimit: 4000, assetsInlineLimit: 0 } },
  themeConfig: {
    siteTitle: 'gradcast',
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    docFooter: { prev: 'Previous', next: 'Next' },
    nav: pages(
      ['Start', '/guide/start'],
      ['Troubleshooting', '/guide/troubleshooting'],
      ['Commands', '/reference/commands'],
      ['API', '/reference/api/index'],
    ),
    sidebar: [
      {
        text: 'Guide',
        items: pages(
          ['Getting started', '/guide/start'],
          ['Your model', '/guide/model'],
          ['Your data', '/own-data'],
          ['Machines', '/guide/machines'],
          ['GPUs', '/guide/gpus'],
          ['Browsers', '/guide/browsers'],
          ['In your server', '/guide/in-your-server'],
          ['A class with phones', '/guide/class'],
          ['Slow links', '/guide/slow-links'],
          ['Relays', '/guide/relays'],
          ['Exact mode', '/guide/exact-mode'],
          ['Security', '/guide/security'],
          ['Troubleshooting', '/guide/troubleshooting'],
          ['How it works', '/guide/how-it-works'],
        ),
      },
      {
        text: 'Results and code',
        items: pages(
          ['Predict and evaluate', '/predict-and-evaluate'],
          ['Exports', '/exports'],
          ['Task files', '/task-files'],
          ['Callbacks', '/callbacks'],
          ['Custom code', '/custom-code'],
        ),
      },
      {
        text: 'Operations',
        items: pages(
          ['Overview', '/guide/operations'],
          ['Fleets', '/guide/fleets'],
          ['Containers', '/guide/containers'],
          ['Kubernetes', '/guide/kubernetes'],
          ['Slurm', '/guide/slurm'],
          ['SkyPilot and Ray', '/guide/skypilot-and-ray'],
          ['Reverse proxy', '/reverse-proxy'],
          ['Metrics', '/metrics'],
          ['Log', '/log'],
          ['Environment', '/environment'],
        ),
      },
      {
        text: 'Reference',
        items: [
          ...pages(
            ['Commands', '/reference/commands'],
            ['Protocol', '/reference/protocol'],
            ['Conformance with Keras', '/conformance'],
            ['Benchmarks', '/benchmarks'],
            ['Glossary', '/glossary'],
          ),
          { text: 'API', link: '/reference/api/index', collapsed: true, items: apiPages },
        ],
      },
      {
        text: 'The project',
        items: pages(
          ['Architecture', '/architecture'],
          ['Decisions', '/decisions/index'],
          ['Contributing', '/reference/contributing'],
          ['Changes', '/reference/changes'],
        ),
      },
    ],
  },
};

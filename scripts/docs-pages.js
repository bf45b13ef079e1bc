// Pages of the site: copies of the documents, and those that are made from the sources.
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Pages that are copies of documents at the root of the repository. */
export const COPIED = {
  'reference/protocol.md': 'PROTOCOL.md',
  'reference/contributing.md': 'CONTRIBUTING.md',
  'reference/changes.md': 'CHANGELOG.md',
};

/** Base that VitePress writes into every file; `makeRelative` replaces it by the place of the site. */
export const PLACE_BASE = '/--place--/';

/** Public entries with their sources: `exports` of package.json. */
export const ENTRIES = {
  gradcast: 'coordinator/index.ts',
  'gradcast/worker': 'worker-node/index.ts',
  'gradcast/browser': 'worker-browser/index.ts',
  'gradcast/protocol': 'shared/protocol/index.ts',
};

/** Page of the API reference of an entry. */
export const apiPage = (entry) => `reference/api/${entry.replace('/', '-')}.md`;

/** Anchor of a heading, as GitHub makes it: links hold in the repository and in the site. @param text without markup */
export const anchorOf = (text) =>
  text
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
    .replaceAll(' ', '-');

const root = fileURLToPath(new URL('..', import.meta.url));
/** Folder of the pages that VitePress reads. */
const pages = `${root}dist/.docs/pages`;

/** Writes all pages. @param cli the commander command of the program */
export async function writePages(cli) {
  rmSync(pages, { recursive: true, force: true });
  const isDocument = (path) => !/[\\/](?:node_modules|\.vitepress|package\.json)$/.test(path);
  cpSync(`${root}docs`, pages, { recursive: true, filter: isDocument });
  mkdirSync(`${pages}/reference`);
  for (const [page, source] of Object.entries(COPIED)) copyFileSync(`${root}${source}`, `${pages}/${page}`);
  writeFileSync(`${pages}/reference/commands.md`, commandsPage(cli));
  await writeApi();
}

/** The page of all commands with their options. */
export function commandsPage(cli) {
  const intro = [
    '# Commands',
    '',
    'Every command with its options, as `--help` prints them. Every option is an environment variable too: `GRADCAST_EPOCHS` is `--epochs`',
    '([all variables](../environment.md)). A flag comes before its variable, the variable before a task file, and that before the default.',
    '',
  ];
  return [...intro, ...cli.commands.flatMap((command) => commandSection(command, 'gradcast', 2))].join('\n');
}

function commandSection(command, parent, level) {
  const help = command.createHelp();
  const name = `${parent} ${command.name()}`;
  const args = help.visibleArguments(command);
  const options = help.visibleOptions(command).filter(({ long }) => long !== '--help');
  const rows = [
    ...args.map((argument) => [help.argumentTerm(argument), help.argumentDescription(argument)]),
    ...options.map((option) => [help.optionTerm(option), help.optionDescription(option)]),
  ];
  return [
    `${'#'.repeat(level)} ${name}`,
    '',
    escapeText(command.description()),
    '',
    '```',
    `${parent} ${command.name()} ${command.usage()}`,
    '```',
    '',
    ...(rows.length === 0 ? [] : ['| option | meaning |', '| --- | --- |']),
    ...rows.map(
      ([term, text]) => `| \`${term.replaceAll('|', '\\|')}\` | ${escapeText(text).replaceAll('|', '\\|')} |`,
    ),
    '',
    ...command.commands
      .filter((sub) => help.visibleCommands(command).includes(sub) && sub.name() !== 'help')
      .flatMap((sub) => commandSection(sub, name, level + 1)),
  ];
}

/** Text in which nothing is markup. */
const escapeText = (text) =>
  text
    .replace(/\s+/g, ' ')
    .replace(/[\\`*_[\]]/g, '\\$&')
    .replaceAll('<', '&lt;')
    .replaceAll('{{', '&#123;&#123;');

/** Writes the reference of the public entries from their docstrings. */
async function writeApi() {
  // The compiler of the checks has no interface for programs yet: typedoc has one of its own, below docs/.
  const { resolve } = createRequire(`${root}docs/package.json`);
  const { Application } = await import(pathToFileURL(resolve('typedoc')));
  const files = Object.values(ENTRIES);
  const app = await Application.bootstrapWithPlugins({
    plugin: [resolve('typedoc-plugin-markdown')],
    entryPoints: files.map((file) => `${root}${file}`),
    tsconfig: `${root}tsconfig.types.json`,
    out: `${pages}/reference/api`,
    readme: 'none',
    name: 'API',
    skipErrorChecking: true,
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    disableSources: true,
    disableGit: true,
    logLevel: 'Error',
    outputFileStrategy: 'modules',
    entryFileName: 'index',
    hideBreadcrumbs: true,
    hidePageHeader: true,
    parametersFormat: 'table',
    interfacePropertiesFormat: 'table',
    typeAliasPropertiesFormat: 'table',
    typeDeclarationFormat: 'table',
    classPropertiesFormat: 'table',
    enumMembersFormat: 'table',
    tableColumnSettings: { hideModifiers: true, hideInherited: true, hideOverrides: true },
    groupOrder: ['Functions', 'Classes', 'Interfaces', 'Type Aliases', 'Variables'],
    expandObjects: true,
  });
  const project = await app.convert();
  if (project === undefined) throw new Error('The API reference could not be made from the sources.');
  for (const module of project.children ?? []) {
    const entry = Object.keys(ENTRIES).find((name) => dirname(ENTRIES[name]) === module.name);
    if (entry !== undefined) module.name = entry.replace('/', '-');
  }
  await app.generateOutputs(project);
  for (const entry of Object.keys(ENTRIES)) mendAnchors(`${pages}/${apiPage(entry)}`);
}

/** The plugin numbers some anchors of which there is one only, as for a type whose name joins those of another and its property. */
function mendAnchors(file) {
  const text = readFileSync(file, 'utf8');
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading));
  const exists = (anchor, number) =>
    text.includes(`id="${anchor}-${number}"`) ||
    headings.filter((each) => each === anchor).length > Number(number);
  const mended = text.replaceAll(/\]\(#([\w-]+)-(\d+)\)/g, (link, anchor, number) =>
    exists(anchor, number) ? link : `](#${anchor})`,
  );
  writeFileSync(file, mended);
}

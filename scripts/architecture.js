// node scripts/architecture.js [--list]: figures about the source tree, as docs/architecture.md shows them; with --list,
// the files and words behind the figures. test/scripts/architecture.test.ts holds the limits.
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { register } from 'node:module';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Folders of the program itself; tests, benches and scripts are not counted. */
const SOURCE_FOLDERS = ['cli', 'coordinator', 'shared', 'worker-node', 'worker-browser'];
/** A file of at most this many lines usually belongs into its only importer. */
const MAX_SHORT_LINES = 60;
/** These name the private words that were replaced. */
const QUOTES_PRIVATE_WORDS = ['scripts/architecture.js', 'docs/glossary.md', 'CHANGELOG.md'];
const TYPE_IMPORT = /^\s*(?:import|export)\s+type\b/;
const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+)\1/g;
/** Start of a docstring that cannot be understood without the code. */
const UNCLEAR_DOCSTRING = /\/\*\*\s*(?:\*\s*)?(?:Of|Where|Whose|What)\b/g;

/** Names and words that docs/glossary.md replaces. */
export const PRIVATE_WORDS = [
  /\b(?:gradientTail|weightsTail|tailCuts|tailPieces|tailsFor|tailPart)\b/g,
  /\b(?:MOST|LEAST)_[A-Z]/g,
  /\b(?:AT_ONCE|IN_A_ROW|PATIENCE)(?:_[A-Z]+)?\b/g,
  /\b(?:GivenShard|givenAtMs|WaitingShard|handOut|handBack|keepInReserve|hearsReserve)\b/g,
  /\b(?:ActiveRound|RoundRunner|StepPlanner|PaceEstimate|Paces|fastestShares|equalShares)\b/g,
  /\b(?:wishOf|Surroundings|roomFor|Rooms|giveBack|SealChecker|sealing)\b/g,
  /\b(?:Strangers|letIn|STRANGER_BYTES|Greetings|PoolConnection|Allowances|Arrivals)\b/g,
  /\b(?:recode|recoded|Recoded|sayRecoded|frugalDown|inShort|LADDER|knownAnswers?|KnownAnswers)\b/g,
  /\b(?:mayCount|NormDoubts|Suspicions|KeptState|ReconstructedWeights|HeldWeights|WeightsBroadcast)\b/g,
  /\b(?:encodeOwed|inNodes|cutNode|halvesOf|TreeSum|GradientTree|HeldSum)\b/g,
  /\b(?:goOn|sayEnd|sayGoOn|sayAddresses|sayData|saySomething|fewLines|StepNews|LinkFigures)\b/g,
  /\b(?:NotFiniteAnswers|AnswerReader|isClogged|clogged|leaveWhenAsked|shapeOfThisMachine|workersHere)\b/g,
  /\b(?:tryPresent|byDownload|byWheel|addsAsDefined|SumCutter|idleWhenTold|GradientTaps)\b/g,
  /\b(?:writtenOut|refuseWhatIsIgnored|weighsNothing|drawnDigits|drawDigits|readableText|messageOf)\b/g,
  /\b(?:mindManners|ownPauses|onHurry|stayCalm|pacedEngine|idleFor)\b/g,
  /\b[Ww]hoever\b/g,
  /\b(?:[Ss]ome|[Nn]o|[Ee]very)body\b/g,
  /\b(?:besieged|hostility|undisturbed|contestants)\b/g,
];

function readText(path) {
  const text = readFileSync(join(root, path), 'utf8');
  return { path, text, lines: text.split('\n').length - 1 };
}

function readFiles(folders, names = /\.(?:ts|js)$/) {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter(
        (entry) => entry.isFile() && names.test(entry.name) && !entry.parentPath.includes('node_modules'),
      )
      .map((entry) => readText(relative(root, join(entry.parentPath, entry.name)))),
  );
}

/** Reads the files of the program. */
export const readSources = () => readFiles(SOURCE_FOLDERS);

/** Relative imports and re-exports, static and dynamic; those of types alone are marked. */
export function findImports(files) {
  return files.flatMap(({ path, text }) =>
    [...text.matchAll(IMPORT)].map(({ index, 2: target }) => {
      const start = Math.max(text.lastIndexOf('\nimport', index), text.lastIndexOf('\nexport', index)) + 1;
      const isTypeOnly = TYPE_IMPORT.test(text.slice(start, index + 1));
      return { from: path, to: normalize(join(dirname(path), target)), isTypeOnly };
    }),
  );
}

/** Groups of two or more nodes that reach each other, each sorted. */
export function findCircles(edges) {
  const next = new Map();
  for (const { from, to } of edges) {
    if (from === to) continue;
    next.set(from, (next.get(from) ?? new Set()).add(to));
    if (!next.has(to)) next.set(to, new Set());
  }
  // Tarjan, "Depth-first search and linear graph algorithms", 1972.
  const index = new Map();
  const low = new Map();
  const stack = [];
  const circles = [];
  const visit = (node) => {
    index.set(node, index.size);
    low.set(node, index.get(node));
    stack.push(node);
    for (const target of next.get(node) ?? []) {
      if (!index.has(target)) visit(target);
      if (stack.includes(target)) low.set(node, Math.min(low.get(node), low.get(target)));
    }
    if (low.get(node) !== index.get(node)) return;
    const circle = stack.splice(stack.indexOf(node));
    if (circle.length > 1) circles.push(circle.sort());
  };
  for (const node of next.keys()) if (!index.has(node)) visit(node);
  return circles;
}

/** Groups of folders whose files import each other in a circle. */
export const findFolderCircles = (imports) =>
  findCircles(imports.map(({ from, to }) => ({ from: dirname(from), to: dirname(to) })));

/** Imports between two folders that import each other, in the direction with fewer imports: those to remove first. */
function findBackImports(imports) {
  const between = (from, to) =>
    imports.filter((each) => dirname(each.from) === from && dirname(each.to) === to);
  const folders = [...new Set(imports.flatMap(({ from, to }) => [dirname(from), dirname(to)]))].sort();
  return folders.flatMap((one, i) =>
    folders.slice(i + 1).flatMap((other) => {
      const there = between(one, other);
      const back = between(other, one);
      return there.length < back.length ? there : there.length === 0 ? [] : back;
    }),
  );
}

/** Short files that one other file of the program imports. */
export function findShortFiles(files) {
  const importers = new Map();
  for (const { from, to } of findImports(files))
    importers.set(to, (importers.get(to) ?? new Set()).add(from));
  return files.filter(({ path, lines }) => lines <= MAX_SHORT_LINES && importers.get(path)?.size === 1);
}

/** Private words of files, each as 'path: word'. */
export function findPrivateWords(files) {
  return files.flatMap(({ path, text }) =>
    PRIVATE_WORDS.flatMap((pattern) => [...text.matchAll(pattern)].map(([word]) => `${path}: ${word}`)),
  );
}

/** Docstrings whose first word is Of, Where, Whose or What, each as 'path:line'. */
export function findUnclearDocstrings(files) {
  return files.flatMap(({ path, text }) =>
    [...text.matchAll(UNCLEAR_DOCSTRING)].map(
      ({ index }) => `${path}:${text.slice(0, index).split('\n').length}`,
    ),
  );
}

/** Reads the files whose words are checked. */
export const readProse = () =>
  [
    ...readFiles([...SOURCE_FOLDERS, 'test', 'bench', 'scripts'], /\.(?:ts|js|py|html)$/),
    ...readFiles(['docs'], /\.md$/),
    ...['README.md', 'PROTOCOL.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].map(readText),
  ].filter(({ path }) => !QUOTES_PRIVATE_WORDS.includes(path));

/** Runs one training step and returns the files of coordinator/ and shared/ in which a function ran; call it once. */
export async function findStepFiles() {
  register('./typescript-hooks.js', import.meta.url);
  const measured = await import('../test/support/step-files.ts');
  return measured.findStepFiles();
}

async function print(withLists) {
  const sources = readSources();
  const imports = findImports(sources);
  const prose = readProse();
  const linesOf = (path) => sources.find((file) => file.path === path)?.lines ?? 0;
  const shortFiles = findShortFiles(sources);
  const fileCircles = findCircles(imports);
  const folderCircles = findFolderCircles(imports);
  const stepFiles = await findStepFiles();
  const words = findPrivateWords(prose);
  const docstrings = findUnclearDocstrings(prose);
  const figures = [
    ['source files', sources.length],
    ['source lines', sources.reduce((sum, { lines }) => sum + lines, 0)],
    [`files of at most ${MAX_SHORT_LINES} lines with one importer`, shortFiles.length],
    ['circles between files', fileCircles.length],
    ['circles between folders', folderCircles.length],
    [
      'lines of train.ts and step.ts',
      linesOf('coordinator/training/train.ts') + linesOf('coordinator/training/step.ts'),
    ],
    ['files that a training step runs through', stepFiles.length],
    ['private words', words.length],
    ['docstrings that begin with Of, Where, Whose or What', docstrings.length],
  ];
  for (const [name, value] of figures) console.log(`| ${name} | ${value} |`);
  if (!withLists) return;
  for (const { path, lines } of shortFiles) console.log(`Short file: ${path} (${lines})`);
  for (const circle of fileCircles) console.log(`Circle of files: ${circle.join(' ')}`);
  for (const circle of folderCircles) console.log(`Circle of folders: ${circle.join(' ')}`);
  for (const { from, to, isTypeOnly } of findBackImports(imports))
    console.log(`Import against the direction: ${from} -> ${to}${isTypeOnly ? ' (types)' : ''}`);
  for (const path of stepFiles) console.log(`Step: ${path}`);
  const times = new Map();
  for (const word of words) times.set(word, (times.get(word) ?? 0) + 1);
  for (const [word, count] of times) console.log(`Private word: ${word} x${count}`);
  for (const place of docstrings) console.log(`Docstring: ${place}`);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await print(process.argv.includes('--list'));
}

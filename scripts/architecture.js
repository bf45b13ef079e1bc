// node scripts/architecture.js [--markdown]: figures about the source tree, as docs/architecture.md shows them.
// test/scripts/architecture.test.ts holds the limits.
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Folders of the program itself; tests, benches and scripts are not counted. */
const SOURCE_FOLDERS = ['cli', 'coordinator', 'shared', 'worker-node', 'worker-browser'];
/** A file this short with one importer usually belongs into it. */
const MAX_SHORT_LINES = 60;
const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+)\1/g;
/** The first word of a docstring that no reader understands without the code. */
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

/**
 * @typedef {{ path: string, text: string, lines: number }} SourceFile `path` relative to the repository's root
 * @typedef {{ from: string, to: string }} Import
 */

/** @param {readonly string[]} folders @param {RegExp} names @returns {SourceFile[]} */
export function readFiles(folders, names = /\.(?:ts|js)$/) {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter(
        (entry) => entry.isFile() && names.test(entry.name) && !entry.parentPath.includes('node_modules'),
      )
      .map((entry) => {
        const path = relative(root, join(entry.parentPath, entry.name));
        const text = readFileSync(join(root, path), 'utf8');
        return { path, text, lines: text.split('\n').length - 1 };
      }),
  );
}

/** Files of the program. @returns {SourceFile[]} */
export const readSources = () => readFiles(SOURCE_FOLDERS);

/** Relative imports and re-exports, of types too, static and dynamic. @param {readonly SourceFile[]} files @returns {Import[]} */
export function findImports(files) {
  return files.flatMap(({ path, text }) =>
    [...text.matchAll(IMPORT)].map(([, , target = '']) => ({
      from: path,
      to: normalize(join(dirname(path), target)),
    })),
  );
}

/** Groups of nodes that reach each other. @param {readonly Import[]} edges @returns {string[][]} */
export function findCircles(edges) {
  /** @type {Map<string, Set<string>>} */
  const next = new Map();
  for (const { from, to } of edges) {
    if (from === to) continue;
    next.set(from, (next.get(from) ?? new Set()).add(to));
    if (!next.has(to)) next.set(to, new Set());
  }
  // Tarjan, "Depth-first search and linear graph algorithms", 1972.
  const index = new Map();
  const low = new Map();
  /** @type {string[]} */
  const stack = [];
  /** @type {string[][]} */
  const circles = [];
  /** @param {string} node */
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

/** @param {readonly Import[]} imports */
export const findFolderCircles = (imports) =>
  findCircles(imports.map(({ from, to }) => ({ from: dirname(from), to: dirname(to) })));

/** Short files that one other file of the program imports. @param {readonly SourceFile[]} files */
export function findShortFiles(files) {
  const importers = new Map();
  for (const { from, to } of findImports(files))
    importers.set(to, (importers.get(to) ?? new Set()).add(from));
  return files.filter(({ path, lines }) => lines <= MAX_SHORT_LINES && importers.get(path)?.size === 1);
}

/** @param {readonly SourceFile[]} files @returns {string[]} 'path: word' */
export function findPrivateWords(files) {
  return files.flatMap(({ path, text }) =>
    PRIVATE_WORDS.flatMap((pattern) => [...text.matchAll(pattern)].map(([word]) => `${path}: ${word}`)),
  );
}

/** @param {readonly SourceFile[]} files @returns {string[]} */
export function findUnclearDocstrings(files) {
  return files.flatMap(({ path, text }) =>
    [...text.matchAll(UNCLEAR_DOCSTRING)].map(
      ({ index }) => `${path}:${text.slice(0, index).split('\n').length}`,
    ),
  );
}

/** Files whose words are checked. */
export const readProse = () => [
  ...readFiles([...SOURCE_FOLDERS, 'test', 'bench', 'scripts'], /\.(?:ts|js|py|html)$/),
  ...readFiles(['docs'], /\.md$/),
  ...['README.md', 'PROTOCOL.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].map((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    return { path, text, lines: text.split('\n').length - 1 };
  }),
];

/** @returns {[string, number | string][]} */
export function measure() {
  const sources = readSources();
  const imports = findImports(sources);
  const prose = readProse().filter(
    ({ path }) => path !== 'scripts/architecture.js' && path !== 'docs/glossary.md',
  );
  const linesOf = (/** @type {string} */ path) => sources.find((file) => file.path === path)?.lines ?? 0;
  return [
    ['source files', sources.length],
    ['source lines', sources.reduce((sum, { lines }) => sum + lines, 0)],
    [`files of at most ${MAX_SHORT_LINES} lines with one importer`, findShortFiles(sources).length],
    ['circles between files', findCircles(imports).length],
    ['circles between folders', findFolderCircles(imports).length],
    [
      'lines of train.ts and step.ts',
      linesOf('coordinator/training/train.ts') + linesOf('coordinator/training/step.ts'),
    ],
    ['private words', findPrivateWords(prose).length],
    ['docstrings that begin with Of, Where, Whose or What', findUnclearDocstrings(prose).length],
  ];
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const [name, value] of measure()) console.log(`| ${name} | ${value} |`);
  if (process.argv.includes('--list')) {
    const sources = readSources();
    console.log(
      '\nShort files:',
      findShortFiles(sources)
        .map(({ path, lines }) => `${path} (${lines})`)
        .join('\n  '),
    );
    for (const circle of findCircles(findImports(sources))) console.log('Files:', circle.join(' '));
    for (const circle of findFolderCircles(findImports(sources))) console.log('Folders:', circle.join(' '));
    const words = new Map();
    for (const word of findPrivateWords(readProse())) words.set(word, (words.get(word) ?? 0) + 1);
    for (const [word, times] of words) console.log(`${word} x${times}`);
    for (const place of findUnclearDocstrings(readProse())) console.log(`Docstring: ${place}`);
  }
}

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** Documents of the repository, as paths from its root. */
export const documents: readonly string[] = [
  ...['README.md', 'PROTOCOL.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md') && !path.includes('node_modules/'))
    .map((path) => join('docs', path)),
];

export const readDocument = (path: string): string => readFileSync(join(root, path), 'utf8');

/** A block of code in a document. */
export interface CodeBlock {
  readonly document: string;
  /** Number of its first line, from 1. */
  readonly line: number;
  /** Such as ts; empty if it has none. */
  readonly language: string;
  readonly text: string;
}

/** Blocks of code of a document, between lines of three backticks. */
export function codeBlocks(document: string): CodeBlock[] {
  const text = readDocument(document);
  return [...text.matchAll(/^```(\w*)[^\n]*\n([^]*?)^```$/gm)].map(
    ({ index, 1: language = '', 2: code = '' }) => ({
      document,
      line: text.slice(0, index).split('\n').length + 1,
      language,
      text: code,
    }),
  );
}

export interface SourceFile {
  /** Path relative to the repository's root. */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
}

export interface Edge {
  readonly from: string;
  readonly to: string;
}

export interface Import extends Edge {
  /** True for `import type` and `export type`. */
  readonly isTypeOnly: boolean;
}

/** Names and words that docs/glossary.md replaces. */
export const PRIVATE_WORDS: readonly RegExp[];

/** Reads the files of the program. */
export function readSources(): SourceFile[];
/** Reads the files whose words are checked: sources, tests, benches, scripts and documents. */
export function readProse(): SourceFile[];
/** Relative imports and re-exports, static and dynamic; those of types alone are marked. */
export function findImports(files: readonly Pick<SourceFile, 'path' | 'text'>[]): Import[];
/** Groups of two or more nodes that reach each other, each sorted. */
export function findCircles(edges: readonly Edge[]): string[][];
/** Groups of folders whose files import each other in a circle. */
export function findFolderCircles(imports: readonly Edge[]): string[][];
/** Short files that one other file of the program imports. */
export function findShortFiles(files: readonly SourceFile[]): SourceFile[];
/** Private words of files, each as 'path: word'. */
export function findPrivateWords(files: readonly Pick<SourceFile, 'path' | 'text'>[]): string[];
/** Docstrings whose first word is Of, Where, Whose or What, each as 'path:line'. */
export function findUnclearDocstrings(files: readonly Pick<SourceFile, 'path' | 'text'>[]): string[];
/** Runs one training step and returns the files of coordinator/ and shared/ in which a function ran; call it once. */
export function findStepFiles(): Promise<string[]>;

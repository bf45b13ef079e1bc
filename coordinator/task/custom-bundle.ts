import { extname } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { importCustomObjects, type CustomBundle } from '../../shared/engine/custom-objects.ts';
import { hashOf, MAX_CODE_BYTES, moduleOf } from '../../shared/model/custom-code.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { readRegularFile } from '../files/read-file.ts';
import { stripTypes } from './strip-types.ts';

/** Time for a module to load. */
const IMPORT_LIMIT_MS = 30_000;

const MODULES: ReadonlySet<string> = new Set(['.js', '.mjs', '.ts', '.mts']);

/**
 * Reads a person's file of layers, losses and metrics: one module without imports, in JavaScript or TypeScript. It is run.
 * @throws Error with a sentence that begins with the file
 * @example
 * const { code, objects } = await readCustomFile('my-layers.ts');
 */
export async function readCustomFile(file: string): Promise<CustomBundle> {
  if (!MODULES.has(extname(file)))
    throw new Error(`${file} is no module with custom code. Its name has to end in .js, .mjs, .ts or .mts.`);
  let text: string;
  try {
    text = (await readRegularFile(file, MAX_CODE_BYTES)).toString('utf8');
  } catch (error) {
    throw new Error(`${file} cannot be read: ${describeDiskError(error)}.`, { cause: error });
  }
  // Of JavaScript, this checks the syntax and says where an error is.
  const stripped = stripTypes(text, file);
  const line = findImport(stripped);
  if (line !== null) {
    throw new Error(
      `${file}:${line}: custom code travels as one module without imports, and TensorFlow.js comes as the argument tf. ` +
        `Bundle it first: npx esbuild ${file} --bundle --format=esm --outfile=bundle.js`,
    );
  }
  const bytes = new TextEncoder().encode(stripped);
  const hash = (await hashOf(bytes)) ?? '';
  try {
    return await openBundle({ hash, bytes });
  } catch (error) {
    throw new Error(`${file}: ${errorMessage(error)}`, { cause: error });
  }
}

/**
 * Imports a bundle that the caller trusts.
 * @throws Error with a sentence if it cannot be used, or takes too long
 */
export async function openBundle({
  hash,
  bytes,
}: {
  readonly hash: string;
  readonly bytes: Uint8Array;
}): Promise<CustomBundle> {
  const module = moduleOf(bytes);
  const objects = await beforeDeadline(importCustomObjects(tf, module));
  return { code: { hash, ...objects.names }, bytes, module, objects };
}

/** A module may wait for ever at its top level. One that computes for ever cannot be stopped here; Ctrl-C twice does. */
async function beforeDeadline<Result>(loading: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Custom code was not loaded within ${IMPORT_LIMIT_MS / 1000} s.`)),
      IMPORT_LIMIT_MS,
    );
  });
  try {
    return await Promise.race([loading, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** Comments, then strings, in which the word import means nothing. A string ends with its line at the latest. */
const NO_CODE = /\/\*[^]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\[^])*"?|'(?:[^'\\\n]|\\[^])*'?|`(?:[^`\\]|\\[^])*`/g;

/** Line of the first import of a module, or of an export from another module; null if there is none. */
function findImport(text: string): number | null {
  const code = text.replace(NO_CODE, (skipped) => `''${'\n'.repeat(skipped.split('\n').length - 1)}`);
  const found =
    /(?<![.\w$])(?:import\b\s*(?!\s|\.\s*meta\b|[:=,)}\]])|export\s*(?:\*|\{[^}]*\})[^;\n]*\bfrom\b)/.exec(
      code,
    );
  return found === null ? null : code.slice(0, found.index).split('\n').length;
}

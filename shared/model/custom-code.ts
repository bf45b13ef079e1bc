import * as v from 'valibot';
import type { SchemaFields } from '../util/schema-fields.ts';

/** Largest bundle. */
export const MAX_CODE_BYTES = 2 ** 20;
/** Largest number of bundles that a worker names as trusted. */
export const MAX_TRUSTED = 32;
/** Name that a loss or metric of a bundle has in a job, beside the name of its function. */
export const CUSTOM = 'custom';

/** Names of layers, losses and metrics: those of classes and functions, without `__proto__` and the like. */
const NAME = /^[A-Za-z][A-Za-z0-9_]{0,99}$/;
const MAX_NAMES = 64;

/** @internal Name of a function or class of a bundle. */
export const customName = v.pipe(v.string(), v.regex(NAME, 'a name of letters, digits and _'));
/** @internal SHA-256 in hexadecimal. */
export const codeHash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits'));

const names = v.pipe(
  v.array(customName),
  v.maxLength(MAX_NAMES),
  v.check((list) => new Set(list).size === list.length, 'different names'),
);

/** A job's description of the code that it computes with: which bundle, and the names in it. The code itself is no part of a job. */
export interface CustomCode {
  /** SHA-256 of the bundle, in hexadecimal. */
  readonly hash: string;
  /** Class names of its layers. */
  readonly layers: string[];
  /** Names of its losses and metrics. */
  readonly losses: string[];
  readonly metrics: string[];
}

/** @internal */
export const customCodeSchema: v.GenericSchema<unknown, CustomCode> = v.object({
  hash: codeHash,
  layers: names,
  losses: names,
  metrics: names,
} satisfies SchemaFields<CustomCode>);

/** A bundle: one module without imports. */
export interface CodeBundle {
  readonly code: CustomCode;
  /** UTF-8 text of the module, whose SHA-256 is the hash. */
  readonly bytes: Uint8Array;
  /** Address from which an engine imports it. */
  readonly module: string;
}

/** Whether a text is a hash as jobs and hellos have it. */
export const isCodeHash = (text: string): boolean => v.is(codeHash, text);

/** Whether a text can be the name of a custom layer, loss or metric. */
export const isCustomName = (name: string): boolean => NAME.test(name);

/** File of a bundle, in the folder of a run or model and at the coordinator's address below custom/. */
export const bundleFile = (hash: string): string => `custom-${hash}.js`;
/** Path of a bundle below the coordinator's address. */
export const bundlePath = (hash: string): string => `custom/${hash}.js`;

/** Names of what a bundle has, for sentences: "layer ScaledDense, loss dice". */
export function describeCode({ layers, losses, metrics }: Omit<CustomCode, 'hash'>): string {
  const kinds = [
    ['layer', layers],
    ['loss', losses],
    ['metric', metrics],
  ] as const;
  const all = kinds.flatMap(([kind, own]) => own.map((name) => `${kind} ${name}`));
  const shown = all.slice(0, 8);
  return all.length > shown.length
    ? `${shown.join(', ')} and ${all.length - shown.length} more`
    : shown.join(', ');
}

/** Globals of Node and of browsers in secure contexts. */
const platform = globalThis as unknown as {
  readonly crypto?: {
    readonly subtle?: { digest(name: string, data: Uint8Array): Promise<ArrayBuffer> };
  };
  btoa(binary: string): string;
};

/** SHA-256 in hexadecimal; null in a tab without a secure context, where browsers have no such function. */
export async function hashOf(bytes: Uint8Array): Promise<string | null> {
  if (platform.crypto?.subtle === undefined) return null;
  const digest = new Uint8Array(await platform.crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Address from which Node imports a bundle: the text itself. */
export function moduleOf(bytes: Uint8Array): string {
  let binary = '';
  const step = 8_192;
  for (let at = 0; at < bytes.length; at += step)
    binary += String.fromCharCode(...bytes.subarray(at, at + step));
  return `data:text/javascript;base64,${platform.btoa(binary)}`;
}

/**
 * Checks that bytes are the bundle that a job names.
 * @param source where they are from, for the error
 * @throws Error with a sentence if they are too many, or another bundle
 */
export async function verifyBundle(
  { hash }: Pick<CustomCode, 'hash'>,
  bytes: Uint8Array,
  source: string,
): Promise<void> {
  if (bytes.length > MAX_CODE_BYTES) {
    throw new Error(
      `${source} has custom code of ${bytes.length} bytes, and at most ${MAX_CODE_BYTES} are accepted.`,
    );
  }
  const found = await hashOf(bytes);
  if (found === null || found === hash) return;
  throw new Error(
    `${source} has other custom code (SHA-256 ${found}) than its job names (${hash}). It was not run.`,
  );
}

/**
 * Reads the bundle of a saved model or run, for a person who trusts it.
 * @param trusts hashes that the person named
 * @param source name of the folder, for errors
 * @param read reads a file of the folder
 * @throws Error with a sentence if the code is not trusted, missing, or another
 */
export async function readTrustedBundle(
  code: CustomCode,
  trusts: readonly string[],
  source: string,
  read: (file: string) => Promise<Uint8Array>,
): Promise<CodeBundle> {
  const file = bundleFile(code.hash);
  if (!trusts.includes(code.hash)) {
    throw new Error(
      `${source} computes with code that a person wrote (${describeCode(code)}), which is not run unasked. ` +
        `Read ${file} in it, then use --trust ${code.hash}`,
    );
  }
  let bytes: Uint8Array;
  try {
    bytes = await read(file);
  } catch (error) {
    throw new Error(`${source} lacks its custom code, ${file}. Copy it from the folder of the run.`, {
      cause: error,
    });
  }
  await verifyBundle(code, bytes, `${file} in ${source}`);
  return { code, bytes, module: moduleOf(bytes) };
}

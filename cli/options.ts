import { InvalidArgumentError, Option } from 'commander';
import { DATA_FORMATS } from '../coordinator/data/data-options.ts';
import { DEFAULT_WORKERS, MAX_WORKERS } from '../coordinator/server/limits/connection-limits.ts';
import { LINK_CODECS } from '../coordinator/links/codecs.ts';
import { runTarget } from '../coordinator/export/formats.ts';
import type { ColumnType } from '../shared/data/preprocessing.ts';
import { parseFingerprint } from '../shared/protocol/coordinator-link.ts';
import { ENGINE_CHOICES } from '../shared/engine/engine-choice.ts';
import type { LogFormat } from '../coordinator/report/log.ts';
import type { Devices } from '../worker-node/engine/native/nvidia-gpus.ts';

/** Address that a command listens on without --host and --port. */
export const DEFAULT_ADDRESSES = {
  train: { host: '127.0.0.1', port: 0 },
  coordinator: { host: '0.0.0.0', port: 2718 },
} as const;

const LOG_FORMATS: readonly LogFormat[] = ['text', 'json'];

/** `--log` of long-running commands. */
export const logOption = (): Option =>
  new Option('--log <format>', 'text for people, or json (one object a line) for programs')
    .choices(LOG_FORMATS)
    .default('text');

/** `--max-workers` of the commands that workers join. */
export const maxWorkersOption = (): Option =>
  new Option(
    '--max-workers <n>',
    `number of workers that may join, each of which needs two open files (default: ${DEFAULT_WORKERS})`,
  ).argParser(integer(1, MAX_WORKERS));

/** `--engine`. @param description use of the engine, for the help */
export const engineOption = (description: string): Option =>
  new Option('--engine <engine>', description).choices(ENGINE_CHOICES).default('auto');

/** `--workers` of the commands that start workers of their own. */
export const localWorkersOption = (): Option =>
  new Option('--workers <n>', 'worker processes on this machine: auto is the fastest number')
    .argParser(countOrAuto)
    .default('auto');

/** `--threads` of the commands whose workers compute. */
export const threadsOption = (): Option =>
  new Option(
    '--threads <n>',
    "threads of each worker's engine (default: its share of the cores for native TensorFlow; 1 for WebAssembly, or what --workers auto finds faster)",
  ).argParser(integer(1, 1024));

/** `--data` of the commands that read a data set. */
export const dataOption = (): Option =>
  new Option(
    '--data <path>',
    'file, folder or zip archive: folders of images (one a class), CSV, TSV, NumPy (.npy, .npz), Parquet, text, IDX; or a name such as fashion-mnist (default: MNIST from MNIST_DIR, the cache or a download, else synthetic digits)',
  );

/** Options about tables, arrays and text, of the commands that read a data set. */
export const tableOptions = (): Option[] => [
  new Option('--format <format>', 'format of the data (default: by names and contents)').choices(
    DATA_FORMATS,
  ),
  new Option('--test-data <path>', 'file or folder of the test samples, if --data has none'),
  new Option(
    '--target <columns>',
    'columns to predict, separated by commas (default: label, target, class, y or species, else the last)',
  ).argParser(nameList),
  new Option('--ignore <columns>', 'columns that are not read').argParser(nameList),
  new Option(
    '--types <list>',
    'types of columns that are detected wrongly: quality:number,zip:category',
  ).argParser(columnTypes),
  new Option(
    '--tokenizer <file>',
    'tokenizer.json of Hugging Face for text (default: characters, or the words of a column)',
  ),
  new Option('--sequence-length <n>', 'tokens of a sample of text (default: 64)').argParser(
    integer(1, 65_536),
  ),
];

/** `--transpose` of the commands that read a data set. */
export const transposeOption = (): Option =>
  new Option('--transpose', 'exchange rows and columns of each image, as the files of EMNIST require');

/** `--codec`. @param links that it is for, if not all */
export const codecOption = (links = ''): Option =>
  new Option(
    '--codec <codec>',
    `encoding of gradients and weights${links === '' ? '' : `, on ${links}`}: auto chooses for each link; float32 is exact, float16 has half the bytes, int8 a quarter, int4 an eighth up and a quarter down, int4/int4 an eighth`,
  )
    .choices(['auto', ...Object.keys(LINK_CODECS)])
    .default('auto');

/** `--export` of the commands that train. */
export const exportOption = (): Option =>
  new Option(
    '--export <target...>',
    'write the trained model also as keras, onnx, safetensors or savedmodel, or to a file such as model.onnx, in the folder of the run',
  ).argParser((text: string, before: readonly string[] | undefined) => {
    const names = nameList(text);
    try {
      for (const name of names) runTarget(name, '');
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
    return [...(before ?? []), ...names];
  });

/** `--custom` of the commands that train. */
export const customOption = (): Option =>
  new Option(
    '--custom <file>',
    'module of yours with layers, losses and metrics, which --model, --loss and --metrics may name: .js or .ts (docs/custom-code.md)',
  );

/** `--trust` of the commands that run custom code. @param what code of what */
export const trustOption = (what: string): Option =>
  new Option('--trust <hashes>', `run custom code of ${what}, by its SHA-256; separated by commas`).argParser(
    hashes,
  );

/** Parses hashes that are separated by commas. */
function hashes(text: string): string[] {
  const list = nameList(text.toLowerCase());
  if (list.every((hash) => /^[0-9a-f]{64}$/.test(hash))) return list;
  throw new InvalidArgumentError('It takes the 64 hex digits of a SHA-256, or several with commas between.');
}

/** `--token` of a coordinator. */
export const tokenOption = (): Option =>
  new Option(
    '--token <token>',
    'secret that workers need to join; GRADCAST_TOKEN hides it from the list of processes',
  ).argParser(token('to admit every worker'));

/** `--fingerprint` of the commands that connect to a coordinator. */
export const fingerprintOption = (): Option =>
  new Option(
    '--fingerprint <hex>',
    'SHA-256 of the self-signed certificate to trust (wss://), or of several with commas between',
  ).argParser(fingerprints);

/** Parses SHA-256 of certificates, each 64 hex digits with or without colons, with commas between, into Node's form. */
export function fingerprints(text: string): string[] {
  return text.split(',').map((each) => {
    const fingerprint = parseFingerprint(each.trim());
    if (fingerprint !== null) return fingerprint;
    throw new InvalidArgumentError(
      'It takes the 64 hex digits that the coordinator prints, or several of them with commas between.',
    );
  });
}

/** Parses 'all', or numbers of GPUs, each once, with commas between. */
export function devices(text: string): Devices {
  if (text === 'all') return text;
  if (!/^\d{1,3}(,\d{1,3})*$/.test(text)) {
    throw new InvalidArgumentError("It takes 'all', or numbers of GPUs such as 0,1.");
  }
  const numbers = text.split(',').map(Number);
  if (new Set(numbers).size < numbers.length) throw new InvalidArgumentError('It names a GPU twice.');
  return numbers;
}

/** Parser of a whole number within bounds. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`It takes a whole number ${range}.`);
  };
}

/** Parses 'auto', or a whole number of at least 1. */
export function countOrAuto(text: string): number | 'auto' {
  return text === 'auto' ? 'auto' : integer(1, 1024)(text);
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000 };

/** Parses a number of steps, or a time in seconds or minutes. */
export function interval(text: string): { readonly steps: number } | { readonly ms: number } {
  const [, number = '', unit] = /^([1-9]\d{0,6})([sm])?$/.exec(text) ?? [];
  if (number === '') throw new InvalidArgumentError('It takes steps (500), seconds (30s) or minutes (5m).');
  return unit === undefined ? { steps: Number(number) } : { ms: Number(number) * (UNIT_MS[unit] ?? 0) };
}

/** Parses a part of a whole, from 0 to 1. */
export function fraction(text: string): number {
  const value = Number(text);
  if (/^[\d.]+$/.test(text) && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('It takes a number from 0 to 1.');
}

const BITS_PER_RATE_UNIT: Readonly<Record<string, number>> = { kbit: 1e3, mbit: 1e6, gbit: 1e9 };

/** Parses bits a second in the notation of tc: 20mbit, 1gbit. */
export function bitRate(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(kbit|mbit|gbit)$/.exec(text.toLowerCase()) ?? [];
  const rate = Number(number) * (BITS_PER_RATE_UNIT[unit] ?? 0);
  if (rate > 0) return rate;
  throw new InvalidArgumentError('It takes a rate: 500kbit, 100mbit, 1gbit.');
}

/** Parser of a number of at least 0, or above 0. */
export function decimal(min: 'zero' | 'positive' = 'positive'): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^[\d.]+$/.test(text) && (min === 'zero' ? value >= 0 : value > 0)) return value;
    throw new InvalidArgumentError(`It takes a number ${min === 'zero' ? 'of 0 or more' : 'above 0'}.`);
  };
}

/**
 * Parser of a token, at most as long as a hello may have it. An empty token would admit every worker. Spaces around it are left out: a
 * secret that is read from a file often ends with a line end.
 * @param whenToOmit end of the sentence 'leave it out ...'
 */
export function token(whenToOmit: string): (text: string) => string {
  return (given) => {
    const text = given.trim();
    if (text.length >= 1 && text.length <= 200) return text;
    throw new InvalidArgumentError(`It takes 1 to 200 characters; leave it out ${whenToOmit}.`);
  };
}

/** `--token` of the commands that connect to a coordinator. */
export const clientTokenOption = (): Option =>
  new Option(
    '--token <token>',
    'token of the coordinator; GRADCAST_TOKEN hides it from the list of processes',
  ).argParser(token('if the coordinator has none'));

/** Parses names that are separated by commas. */
export function nameList(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.every((name) => name !== '')) return names;
  throw new InvalidArgumentError('It takes names that are separated by commas.');
}

/** Parses types of columns: quality:number,zip:category. */
export function columnTypes(text: string): Record<string, ColumnType> {
  const entries = nameList(text).map((part): [string, ColumnType] => {
    const [, name = '', type = ''] = /^(.+):(number|category)$/.exec(part) ?? [];
    if (type === 'number' || type === 'category') return [name.trim(), type];
    throw new InvalidArgumentError('It takes columns with number or category, such as quality:number.');
  });
  return Object.fromEntries(entries);
}

/** Parses the weights of classes: 0:1,1:5. */
export function classWeights(text: string): Record<string, number> {
  const entries = text.split(',').map((part) => /^\s*(\d+)\s*:\s*(\d+(?:\.\d+)?)\s*$/.exec(part));
  if (entries.includes(null)) {
    throw new InvalidArgumentError('It takes classes with their weights, such as 0:1,1:5.');
  }
  const weights = entries.map((entry): [string, number] => [String(Number(entry?.[1])), Number(entry?.[2])]);
  const classes = weights.map(([label]) => label);
  const twice = classes.find((label, i) => classes.indexOf(label) !== i);
  if (twice !== undefined) throw new InvalidArgumentError(`It names class ${twice} twice.`);
  return Object.fromEntries(weights);
}

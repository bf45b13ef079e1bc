import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';

/** Kind of a file, by its first bytes. */
export type Content = Packed | Unpacked;
export interface Packed {
  readonly kind: 'gzip' | 'bzip2' | 'zip';
}
export type Unpacked =
  | {
      readonly kind: 'other';
      /** Description for the sentence 'found ...'. */
      readonly found: string;
      /** Advice in the error. @default the advice of invalidFileError */
      readonly remedy?: string;
      /** Whether it is text without a known format. */
      readonly isText?: boolean;
    }
  | { readonly kind: 'idx' | 'csv' | 'empty' };

export const isPacked = (content: Content): content is Packed =>
  content.kind === 'gzip' || content.kind === 'bzip2' || content.kind === 'zip';

/** Number of bytes that detectContent reads: a tar archive has its signature at 257. */
export const HEAD_BYTES = 1024;

/** Advice that converts a NumPy array to an IDX file of unsigned bytes. */
export const WRITE_IDX =
  "In Python, with struct imported and the array as uint8 in a: open(NAME, 'wb').write(struct.pack(f'>HBB{a.ndim}I', 0, 8, a.ndim, *a.shape) + a.tobytes())";

const otherContent = (found: string, remedy?: string): Content =>
  remedy === undefined ? { kind: 'other', found } : { kind: 'other', found, remedy };

const unpackFirst = (description: string, command: string): Content =>
  otherContent(`${description}, which gradcast does not unpack`, `Unpack it first: ${command}.`);
const convert = (description: string): Content => otherContent(description, `${WRITE_IDX}.`);

/** First bytes of file formats, as text of one character a byte. */
const SIGNATURES: readonly (readonly [string, Content])[] = [
  ['\x1f\x8b', { kind: 'gzip' }],
  ['PK\x03\x04', { kind: 'zip' }],
  ['PK\x05\x06', { kind: 'zip' }],
  ['\xfd7zXZ\0', unpackFirst('an xz file', 'xz -d FILE')],
  ['\x28\xb5\x2f\xfd', unpackFirst('a Zstandard file', 'zstd -d FILE')],
  ['7z\xbc\xaf\x27\x1c', unpackFirst('a 7-Zip archive', '7z x FILE')],
  ['Rar!', unpackFirst('a RAR archive', 'unrar x FILE')],
  ['\x93NUMPY', convert('a NumPy array (.npy)')],
  ['\x89HDF', convert('an HDF5 file')],
  ['MATLAB 5.0', convert('a MATLAB file (.mat)')],
  ['PAR1', convert('a Parquet file')],
  ['ARROW1', convert('an Arrow file')],
  ['\x80\x02', convert('a Python pickle')],
  ['\x80\x03', convert('a Python pickle')],
  ['\x80\x04', convert('a Python pickle')],
  ['\x80\x05', convert('a Python pickle')],
  ['\x89PNG', convert('a PNG image')],
  ['\xff\xd8\xff', convert('a JPEG image')],
  ['SQLite format 3', convert('an SQLite database')],
  [
    'version https://git-lfs',
    otherContent(
      'a Git LFS pointer instead of the file',
      'Run git lfs pull in the repository that it comes from.',
    ),
  ],
  ['%PDF', otherContent('a PDF document')],
  ['\xff\xfe', otherContent('text in UTF-16', 'Save it as UTF-8.')],
  ['\xfe\xff', otherContent('text in UTF-16', 'Save it as UTF-8.')],
];

/** Detects the kind of a file by its contents, since names can be wrong. @param head its first HEAD_BYTES, or all bytes */
export function detectContent(head: Uint8Array): Content {
  if (head.length === 0) return { kind: 'empty' };
  const text = String.fromCharCode(...head.subarray(0, HEAD_BYTES));
  const match = SIGNATURES.find(([signature]) => text.startsWith(signature));
  if (match !== undefined) return match[1];
  // After the block size, the digits of pi begin a block, and those of its square root the end of an empty file.
  if (/^BZh[1-9]$/.test(text.slice(0, 4)) && ['1AY&SY', '\x17rE8P\x90'].includes(text.slice(4, 10))) {
    return { kind: 'bzip2' };
  }
  if (text.slice(257, 262) === 'ustar') return unpackFirst('a tar archive', 'tar -xf FILE');
  // Two zero bytes, the type of the elements, the number of dimensions: or all of them in reverse.
  if (text.startsWith('\0\0') || isLittleEndianHeader(head)) return { kind: 'idx' };
  const line = text.replace(/^\xef\xbb\xbf/, '').trimStart();
  if (/^<(!doctype html|html|head|\?xml)/i.test(line)) {
    return otherContent('a web page (HTML)', 'Download the file itself: a page was saved in its place.');
  }
  // oxlint-disable-next-line no-control-regex -- binary files have such bytes
  if (/[\0-\x08\x0e-\x1f\x7f]/.test(line))
    return otherContent(`bytes that begin with ${hex(head.subarray(0, 4))}`);
  // Several columns, or one of numbers, with or without a name.
  if (/^[^\r\n]*[,;\t]/.test(line) || /^(["\w ]+\r?\n)?"?-?\d+(\.\d*)?"?(\r?\n|$)/.test(line)) {
    return { kind: 'csv' };
  }
  const beginning = sanitizeForTerminal(line.slice(0, 24).replace(/[\r\n]+[^]*/, ''));
  return { kind: 'other', found: `text that begins with "${beginning}"`, isText: true };
}

/** Description and advice for a file that is known not to be what its name says; null if its contents are unknown too. */
export function describeWrongFile(head: Uint8Array): { found: string; remedy?: string | undefined } | null {
  const content = detectContent(head);
  return content.kind === 'other' && content.isText !== true && !content.found.startsWith('bytes ')
    ? { found: content.found, remedy: content.remedy === `${WRITE_IDX}.` ? undefined : content.remedy }
    : null;
}

const isLittleEndianHeader = ([rank = 0, type = 0, second, first]: Uint8Array): boolean =>
  rank >= 1 && rank <= 4 && type >= 0x08 && type <= 0x0e && second === 0 && first === 0;

function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString('hex')}`;
}

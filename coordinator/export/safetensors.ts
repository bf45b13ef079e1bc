import type { NamedWeights } from '../model-file/weights-file.ts';

/** Name of the header's entry with texts about the file. */
const METADATA = '__metadata__';
/** Multiple at which the data begin, so that they can be mapped into memory. */
const ALIGNMENT = 8;
/** Largest header that the format's own library reads. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Bytes of a .safetensors file: the length of the header, the header as JSON, and the values one after the other
 * (github.com/huggingface/safetensors, "Format").
 * @param metadata texts about the file
 * @throws Error with a sentence if the texts are too long
 * @example
 * writeSafetensors(new Map([['dense/bias', { shape: [10], values }]]), { format: 'keras' });
 */
export function writeSafetensors(weights: NamedWeights, metadata: Readonly<Record<string, string>>): Buffer {
  const header: [string, object][] = [[METADATA, metadata]];
  const data: Buffer[] = [];
  let end = 0;
  for (const [name, { shape, values }] of weights) {
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    header.push([name, { dtype: 'F32', shape, data_offsets: [end, end + bytes.length] }]);
    data.push(bytes);
    end += bytes.length;
  }
  // An object of its own would lose a tensor with the name of a prototype's property.
  const json = `{${header.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(',')}}`;
  const text = Buffer.from(json);
  const padding = Buffer.alloc((ALIGNMENT - (text.length % ALIGNMENT)) % ALIGNMENT, ' ');
  if (text.length + padding.length > MAX_HEADER_BYTES)
    throw new Error('The description of the model is too long for a .safetensors file. Use --format keras.');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length + padding.length));
  return Buffer.concat([length, text, padding, ...data]);
}

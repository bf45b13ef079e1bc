import { expandTopology } from '../../shared/model/expand-topology.ts';
import { metadataOf, type ExportedModel } from './describe-model.ts';

/** Name of the header's entry with texts about the file. */
const METADATA = '__metadata__';
/** Multiple at which the data begin, so that they can be mapped into memory. */
const ALIGNMENT = 8;
/** Largest header that the format's own library reads. */
const MAX_HEADER_BYTES = 100_000_000;

/** Layouts of the tensors, in words. */
const LAYOUT =
  'Tensors have the layouts of Keras: Dense [inputs, outputs], convolutions [sides..., inputs, outputs], transposed convolutions ' +
  '[sides..., outputs, inputs], recurrent layers [inputs, gates x units] with the gates i f c o (LSTM) or z r h (GRU). ' +
  'PyTorch has Linear [outputs, inputs], convolutions [outputs, inputs, sides...], recurrent layers [gates x units, inputs] ' +
  'with the gates i f g o (LSTM) or r z n (GRU).';

/**
 * Bytes of a .safetensors file: the length of the header, the header as JSON, and the values one after the other
 * (github.com/huggingface/safetensors, "Format"). The header has the model as JSON of Keras, so that nothing is lost.
 * @throws Error with a sentence if the header is too long
 * @example
 * writeSafetensors({ job, weights, gradcast: '0.2.0', epochs: 12 });
 */
export function writeSafetensors(model: ExportedModel): Buffer {
  const metadata = {
    format: 'keras',
    layout: LAYOUT,
    model_config: JSON.stringify(expandTopology(model.job.topology)),
    ...metadataOf(model),
  };
  const header: [string, object][] = [[METADATA, metadata]];
  const data: Buffer[] = [];
  let end = 0;
  for (const [name, { shape, values }] of model.weights) {
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

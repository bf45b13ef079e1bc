type Write = (view: DataView, at: number, value: number, little: boolean) => void;

/** Bytes of an element and how it is written, by NumPy's code without the order of bytes. */
const ELEMENTS: Readonly<Record<string, readonly [bytes: number, write: Write]>> = {
  b1: [1, (view, at, value) => view.setUint8(at, value)],
  u1: [1, (view, at, value) => view.setUint8(at, value)],
  i1: [1, (view, at, value) => view.setInt8(at, value)],
  u2: [2, (view, at, value, little) => view.setUint16(at, value, little)],
  i2: [2, (view, at, value, little) => view.setInt16(at, value, little)],
  u4: [4, (view, at, value, little) => view.setUint32(at, value, little)],
  i4: [4, (view, at, value, little) => view.setInt32(at, value, little)],
  u8: [8, (view, at, value, little) => view.setBigUint64(at, BigInt(value), little)],
  i8: [8, (view, at, value, little) => view.setBigInt64(at, BigInt(value), little)],
  // The values of tests are whole numbers below 2048 and halves of them: sign, exponent and fraction by hand.
  f2: [2, (view, at, value, little) => view.setUint16(at, float16Bits(value), little)],
  f4: [4, (view, at, value, little) => view.setFloat32(at, value, little)],
  f8: [8, (view, at, value, little) => view.setFloat64(at, value, little)],
};

function float16Bits(value: number): number {
  if (value === 0) return 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const fraction = Math.round((Math.abs(value) / 2 ** exponent - 1) * 1024);
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction;
}

export interface NpyOptions {
  /** Type such as '<f4'. */
  readonly type: string;
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly fortran?: boolean;
  readonly version?: 1 | 2 | 3;
  /** In place of the dictionary. */
  readonly header?: string;
}

/** A file as numpy.save() writes it; `values` are in the order of the file. */
export function npyBytes({ type, shape, values, fortran = false, version = 1, header }: NpyOptions): Buffer {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const text =
    header ?? `{'descr': '${type}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': ${tuple}, }`;
  const lengthBytes = version === 1 ? 2 : 4;
  const padded = `${text.padEnd(64 * Math.ceil((text.length + 9 + lengthBytes) / 64) - 9 - lengthBytes)}\n`;
  const start = Buffer.alloc(8 + lengthBytes);
  start.write('\x93NUMPY', 'latin1');
  start[6] = version;
  if (version === 1) start.writeUInt16LE(padded.length, 8);
  else start.writeUInt32LE(padded.length, 8);
  const [bytes, write] = ELEMENTS[type.slice(1)] ?? [1, () => undefined];
  const data = Buffer.alloc(bytes * values.length);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  values.forEach((value, i) => write(view, i * bytes, value, !type.startsWith('>')));
  return Buffer.concat([start, Buffer.from(padded, 'latin1'), data]);
}

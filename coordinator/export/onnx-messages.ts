import protobuf from 'protobufjs/light.js';

// The messages of onnx.proto (github.com/onnx/onnx, Apache-2.0) with the fields that a model needs. They are described here,
// because packages with all messages weigh 20 MB.

const field = (type: string, id: number, rule?: 'repeated') =>
  rule === undefined ? { type, id } : { type, id, rule };

const root = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        irVersion: field('int64', 1),
        producerName: field('string', 2),
        producerVersion: field('string', 3),
        docString: field('string', 6),
        graph: field('GraphProto', 7),
        opsetImport: field('OperatorSetIdProto', 8, 'repeated'),
        metadataProps: field('StringStringEntryProto', 14, 'repeated'),
      },
    },
    OperatorSetIdProto: { fields: { domain: field('string', 1), version: field('int64', 2) } },
    StringStringEntryProto: { fields: { key: field('string', 1), value: field('string', 2) } },
    GraphProto: {
      fields: {
        node: field('NodeProto', 1, 'repeated'),
        name: field('string', 2),
        initializer: field('TensorProto', 5, 'repeated'),
        docString: field('string', 10),
        input: field('ValueInfoProto', 11, 'repeated'),
        output: field('ValueInfoProto', 12, 'repeated'),
      },
    },
    NodeProto: {
      fields: {
        input: field('string', 1, 'repeated'),
        output: field('string', 2, 'repeated'),
        name: field('string', 3),
        opType: field('string', 4),
        attribute: field('AttributeProto', 5, 'repeated'),
      },
    },
    AttributeProto: {
      fields: {
        name: field('string', 1),
        f: field('float', 2),
        i: field('int64', 3),
        s: field('bytes', 4),
        g: field('GraphProto', 6),
        ints: field('int64', 8, 'repeated'),
        strings: field('bytes', 9, 'repeated'),
        type: field('int32', 20),
      },
      // Without it, 0 would not be written.
      oneofs: { value: { oneof: ['f', 'i', 's', 'g'] } },
    },
    TensorProto: {
      fields: {
        dims: field('int64', 1, 'repeated'),
        dataType: field('int32', 2),
        name: field('string', 8),
        rawData: field('bytes', 9),
      },
    },
    ValueInfoProto: { fields: { name: field('string', 1), type: field('TypeProto', 2) } },
    TypeProto: { fields: { tensorType: field('TensorType', 1) } },
    TensorType: { fields: { elemType: field('int32', 1), shape: field('TensorShapeProto', 2) } },
    TensorShapeProto: { fields: { dim: field('Dimension', 1, 'repeated') } },
    Dimension: { fields: { dimValue: field('int64', 1), dimParam: field('string', 2) } },
  },
});

/** Numbers of types of tensors. */
export const ONNX_TYPES = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;
/** Numbers of types of attributes. */
const ATTRIBUTE = { float: 1, int: 2, string: 3, graph: 5, ints: 7, strings: 8 } as const;

export interface OnnxTensor {
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly name: string;
  readonly rawData: Uint8Array;
}

export interface OnnxValue {
  readonly name: string;
  readonly type: object;
}

export interface OnnxNode {
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name: string;
  readonly opType: string;
  readonly attribute: readonly OnnxAttribute[];
}

export interface OnnxAttribute {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly g?: OnnxGraphMessage;
  readonly ints?: readonly number[];
  readonly strings?: readonly Uint8Array[];
}

export interface OnnxGraphMessage {
  readonly name: string;
  readonly node: readonly OnnxNode[];
  readonly initializer: readonly OnnxTensor[];
  readonly input: readonly OnnxValue[];
  readonly output: readonly OnnxValue[];
}

export interface OnnxModelMessage {
  readonly irVersion: number;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly docString: string;
  readonly graph: OnnxGraphMessage;
  readonly opsetImport: readonly { readonly domain: string; readonly version: number }[];
  readonly metadataProps: readonly { readonly key: string; readonly value: string }[];
}

const text = (value: string): Uint8Array => Buffer.from(value);

/** Attributes of a node. */
export const attribute = {
  float: (name: string, f: number): OnnxAttribute => ({ name, type: ATTRIBUTE.float, f }),
  int: (name: string, i: number): OnnxAttribute => ({ name, type: ATTRIBUTE.int, i }),
  string: (name: string, s: string): OnnxAttribute => ({ name, type: ATTRIBUTE.string, s: text(s) }),
  graph: (name: string, g: OnnxGraphMessage): OnnxAttribute => ({ name, type: ATTRIBUTE.graph, g }),
  ints: (name: string, ints: readonly number[]): OnnxAttribute => ({ name, type: ATTRIBUTE.ints, ints }),
  strings: (name: string, strings: readonly string[]): OnnxAttribute => ({
    name,
    type: ATTRIBUTE.strings,
    strings: strings.map(text),
  }),
};

const Model = root.lookupType('ModelProto');

/** Bytes of an .onnx file. */
export const encodeOnnx = (model: OnnxModelMessage): Uint8Array => Model.encode(model).finish();

/** Contents of an .onnx file, as far as this file describes them. */
export const decodeOnnx = (bytes: Uint8Array): OnnxModelMessage =>
  Model.toObject(Model.decode(bytes), { longs: Number, defaults: true, arrays: true }) as OnnxModelMessage;

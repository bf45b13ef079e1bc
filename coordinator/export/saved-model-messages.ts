import protobuf from 'protobufjs/light.js';

// The messages of a SavedModel (tensorflow/core/protobuf and framework, Apache-2.0) with the fields that a graph of constants needs.

const field = (type: string, id: number, rule?: 'repeated') =>
  rule === undefined ? { type, id } : { type, id, rule };
const map = (type: string, id: number) => ({ keyType: 'string', type, id });

const root = protobuf.Root.fromJSON({
  nested: {
    SavedModel: {
      fields: { schemaVersion: field('int64', 1), metaGraphs: field('MetaGraphDef', 2, 'repeated') },
    },
    MetaGraphDef: {
      fields: {
        metaInfoDef: field('MetaInfoDef', 1),
        graphDef: field('GraphDef', 2),
        signatureDef: map('SignatureDef', 5),
      },
    },
    MetaInfoDef: {
      fields: { metaGraphVersion: field('string', 1), tags: field('string', 4, 'repeated') },
    },
    SignatureDef: {
      fields: {
        inputs: map('TensorInfo', 1),
        outputs: map('TensorInfo', 2),
        methodName: field('string', 3),
      },
    },
    TensorInfo: {
      fields: {
        name: field('string', 1),
        dtype: field('int32', 2),
        tensorShape: field('TensorShapeProto', 3),
      },
    },
    GraphDef: {
      fields: {
        node: field('NodeDef', 1, 'repeated'),
        library: field('FunctionDefLibrary', 2),
        versions: field('VersionDef', 4),
      },
    },
    VersionDef: { fields: { producer: field('int32', 1), minConsumer: field('int32', 2) } },
    FunctionDefLibrary: { fields: { function: field('FunctionDef', 1, 'repeated') } },
    FunctionDef: {
      fields: {
        signature: field('OpDef', 1),
        nodeDef: field('NodeDef', 3, 'repeated'),
        ret: map('string', 4),
      },
    },
    OpDef: {
      fields: {
        name: field('string', 1),
        inputArg: field('ArgDef', 2, 'repeated'),
        outputArg: field('ArgDef', 3, 'repeated'),
      },
    },
    ArgDef: { fields: { name: field('string', 1), type: field('int32', 3) } },
    NodeDef: {
      fields: {
        name: field('string', 1),
        op: field('string', 2),
        input: field('string', 3, 'repeated'),
        attr: map('AttrValue', 5),
      },
    },
    AttrValue: {
      fields: {
        list: field('ListValue', 1),
        s: field('bytes', 2),
        i: field('int64', 3),
        f: field('float', 4),
        b: field('bool', 5),
        type: field('int32', 6),
        shape: field('TensorShapeProto', 7),
        tensor: field('TensorProto', 8),
        func: field('NameAttrList', 10),
      },
      // Without it, false and 0 would not be written.
      oneofs: { value: { oneof: ['list', 's', 'i', 'f', 'b', 'type', 'shape', 'tensor', 'func'] } },
    },
    ListValue: {
      fields: {
        i: field('int64', 3, 'repeated'),
        type: field('int32', 6, 'repeated'),
        shape: field('TensorShapeProto', 7, 'repeated'),
      },
    },
    NameAttrList: { fields: { name: field('string', 1) } },
    TensorShapeProto: { fields: { dim: field('Dim', 2, 'repeated'), unknownRank: field('bool', 3) } },
    Dim: { fields: { size: field('int64', 1) } },
    TensorProto: {
      fields: {
        dtype: field('int32', 1),
        tensorShape: field('TensorShapeProto', 2),
        tensorContent: field('bytes', 4),
      },
    },
  },
});

/** Numbers of the types of tensors. */
export const TF_TYPES = { float32: 1, int32: 3, bool: 10, variant: 21 } as const;

export interface TfShape {
  readonly dim: readonly { readonly size: number }[];
  readonly unknownRank?: boolean;
}

/** Attribute of a node; one of these. */
export interface TfAttribute {
  readonly s?: Uint8Array;
  readonly i?: number;
  readonly f?: number;
  readonly b?: boolean;
  readonly type?: number;
  readonly shape?: TfShape;
  readonly tensor?: {
    readonly dtype: number;
    readonly tensorShape: TfShape;
    readonly tensorContent: Uint8Array;
  };
  readonly func?: { readonly name: string };
  readonly list?: {
    readonly i?: readonly number[];
    readonly type?: readonly number[];
    readonly shape?: readonly TfShape[];
  };
}

export interface TfNode {
  readonly name: string;
  readonly op: string;
  readonly input: readonly string[];
  readonly attr: Readonly<Record<string, TfAttribute>>;
}

export interface TfArgument {
  readonly name: string;
  readonly type: number;
}

export interface TfFunction {
  readonly signature: {
    readonly name: string;
    readonly inputArg: readonly TfArgument[];
    readonly outputArg: readonly TfArgument[];
  };
  readonly nodeDef: readonly TfNode[];
  readonly ret: Readonly<Record<string, string>>;
}

export interface TfTensorInfo {
  readonly name: string;
  readonly dtype: number;
  readonly tensorShape: TfShape;
}

export interface TfSavedModel {
  readonly schemaVersion: number;
  readonly metaGraphs: readonly {
    readonly metaInfoDef: { readonly metaGraphVersion: string; readonly tags: readonly string[] };
    readonly graphDef: {
      readonly node: readonly TfNode[];
      readonly library: { readonly function: readonly TfFunction[] };
      readonly versions: { readonly producer: number; readonly minConsumer: number };
    };
    readonly signatureDef: Readonly<
      Record<
        string,
        {
          readonly inputs: Readonly<Record<string, TfTensorInfo>>;
          readonly outputs: Readonly<Record<string, TfTensorInfo>>;
          readonly methodName: string;
        }
      >
    >;
  }[];
}

const SavedModel = root.lookupType('SavedModel');

/** Bytes of a saved_model.pb. */
export const encodeSavedModel = (model: TfSavedModel): Uint8Array => SavedModel.encode(model).finish();

/** Contents of a saved_model.pb, as far as this file describes them. */
export const decodeSavedModel = (bytes: Uint8Array): TfSavedModel =>
  SavedModel.toObject(SavedModel.decode(bytes), {
    longs: Number,
    defaults: true,
    arrays: true,
    objects: true,
  }) as TfSavedModel;

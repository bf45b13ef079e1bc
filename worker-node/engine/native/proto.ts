/** Used part of tfjs-node's protocol buffers (dist/proto/api_pb.js). */
export interface Proto {
  readonly AttrValue: (new () => AttrValue) & { readonly ListValue: new () => ListValue };
  readonly TensorShape: (new () => TensorShape) & { readonly Dim: new () => Dim };
  readonly Tensor: new () => TensorProto;
  readonly NodeDef: new () => NodeDef;
  readonly GraphDef: new () => { setNodeList(nodes: NodeDef[]): void; setVersions(versions: object): void };
  readonly VersionDef: new () => { setProducer(version: number): void };
  readonly MetaGraphDef: (new () => {
    setMetaInfoDef(info: object): void;
    setGraphDef(graph: object): void;
  }) & {
    readonly MetaInfoDef: new () => { setTagsList(tags: string[]): void };
  };
  readonly SavedModel: new () => {
    setSavedModelSchemaVersion(version: number): void;
    setMetaGraphsList(graphs: object[]): void;
    serializeBinary(): Uint8Array;
  };
}

export interface AttrValue {
  setType(dtype: number): void;
  setB(value: boolean): void;
  setF(value: number): void;
  setI(value: number): void;
  setS(value: Uint8Array): void;
  setList(value: ListValue): void;
  setShape(value: TensorShape): void;
  setTensor(value: TensorProto): void;
}

interface ListValue {
  setIList(values: readonly number[]): void;
}

export interface TensorShape {
  setDimList(dims: Dim[]): void;
}

interface Dim {
  setSize(size: number): void;
}

interface TensorProto {
  setDtype(dtype: number): void;
  setTensorShape(shape: TensorShape): void;
  setTensorContent(bytes: Uint8Array): void;
  setFloatValList(values: readonly number[]): void;
}

export interface NodeDef {
  setName(name: string): void;
  setOp(op: string): void;
  setInputList(names: readonly string[]): void;
  getAttrMap(): { set(name: string, value: AttrValue): void };
}

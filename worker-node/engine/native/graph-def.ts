import type { Binding, OpAttribute } from './backend.ts';
import type { AttrValue, NodeDef, Proto, TensorShape } from './proto.ts';

/** GraphDef version of TensorFlow 2.9, for which tfjs-node 4.22 was made; later ones read it. */
const GRAPH_DEF_VERSION = 1087;
/** Limit for the constants of a graph together; larger ones are values that should be inputs. */
const MAX_CONSTANT_BYTES = 32 * 2 ** 20;

type TypedArray = Float32Array | Int32Array | Uint8Array;

/** Builds a TensorFlow graph. Nodes are added in an order in which they can run. */
export class GraphDef {
  readonly #proto: Proto;
  readonly #binding: Binding;
  readonly #nodes: NodeDef[] = [];
  #constantBytes = 0;

  constructor(proto: Proto, binding: Binding) {
    this.#proto = proto;
    this.#binding = binding;
  }

  /** @returns the name of the node */
  placeholder(name: string, dtype: number, shape: readonly number[]): string {
    const node = this.#node(name, 'Placeholder', []);
    node.getAttrMap().set('dtype', this.#type(dtype));
    const value = new this.#proto.AttrValue();
    value.setShape(this.#shape(shape));
    node.getAttrMap().set('shape', value);
    return name;
  }

  /** @throws Error if a graph cannot hold the values */
  constant(dtype: number, shape: readonly number[], values: unknown): string {
    if (!isTypedArray(values)) throw new Error('a constant of strings');
    const name = `const_${this.#nodes.length}`;
    const node = this.#node(name, 'Const', []);
    node.getAttrMap().set('dtype', this.#type(dtype));
    const tensor = new this.#proto.Tensor();
    tensor.setDtype(dtype);
    tensor.setTensorShape(this.#shape(shape));
    const [first] = values;
    if (values instanceof Float32Array && first !== undefined && values.every((value) => value === first)) {
      // One value stands for all: tfjs' gradients of means multiply by a tensor of ones as large as an activation.
      tensor.setFloatValList([first]);
    } else {
      this.#constantBytes += values.byteLength;
      if (this.#constantBytes > MAX_CONSTANT_BYTES) throw new Error('too many constants');
      tensor.setTensorContent(new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice());
    }
    const value = new this.#proto.AttrValue();
    value.setTensor(tensor);
    node.getAttrMap().set('value', value);
    return name;
  }

  /** @throws Error if the type of an attribute is not supported */
  op(name: string, op: string, inputs: readonly string[], attributes: readonly OpAttribute[]): void {
    const values = attributes.map((attribute) => this.#attribute(op, attribute));
    const node = this.#node(name, op, inputs);
    attributes.forEach(({ name: key }, i) => node.getAttrMap().set(key, values[i] as AttrValue));
  }

  /** Serializes the graph as a SavedModel without variables, tagged 'serve'. */
  serialize(): Uint8Array {
    const proto = this.#proto;
    const graph = new proto.GraphDef();
    graph.setNodeList(this.#nodes);
    const versions = new proto.VersionDef();
    versions.setProducer(GRAPH_DEF_VERSION);
    graph.setVersions(versions);
    const info = new proto.MetaGraphDef.MetaInfoDef();
    info.setTagsList(['serve']);
    const metaGraph = new proto.MetaGraphDef();
    metaGraph.setMetaInfoDef(info);
    metaGraph.setGraphDef(graph);
    const savedModel = new proto.SavedModel();
    savedModel.setSavedModelSchemaVersion(1);
    savedModel.setMetaGraphsList([metaGraph]);
    return savedModel.serializeBinary();
  }

  #node(name: string, op: string, inputs: readonly string[]): NodeDef {
    const node = new this.#proto.NodeDef();
    node.setName(name);
    node.setOp(op);
    node.setInputList([...inputs]);
    this.#nodes.push(node);
    return node;
  }

  #type(dtype: number): AttrValue {
    const value = new this.#proto.AttrValue();
    value.setType(dtype);
    return value;
  }

  #shape(sides: readonly number[]): TensorShape {
    const shape = new this.#proto.TensorShape();
    const dims = sides.map((size) => {
      const dim = new this.#proto.TensorShape.Dim();
      dim.setSize(size);
      return dim;
    });
    shape.setDimList(dims);
    return shape;
  }

  #attribute(op: string, { name, type, value }: OpAttribute): AttrValue {
    const binding = this.#binding;
    const attribute = new this.#proto.AttrValue();
    if (type === binding.TF_ATTR_TYPE && typeof value === 'number') attribute.setType(value);
    else if (type === binding.TF_ATTR_BOOL && typeof value === 'boolean') attribute.setB(value);
    else if (type === binding.TF_ATTR_FLOAT && typeof value === 'number') attribute.setF(value);
    else if (type === binding.TF_ATTR_INT && typeof value === 'number') attribute.setI(value);
    else if (type === binding.TF_ATTR_STRING && typeof value === 'string') attribute.setS(Buffer.from(value));
    else if (type === binding.TF_ATTR_INT && Array.isArray(value)) {
      const list = new this.#proto.AttrValue.ListValue();
      list.setIList(value.map(Number));
      attribute.setList(list);
    } else throw new Error(`${op}'s attribute ${name}`);
    return attribute;
  }
}

const isTypedArray = (values: unknown): values is TypedArray =>
  values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint8Array;

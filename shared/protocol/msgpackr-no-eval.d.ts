declare module 'msgpackr/index-no-eval' {
  /** The part of msgpackr that frames need; its own types ask for Node's. */
  interface Options {
    readonly useRecords: boolean;
    readonly variableMapSize?: boolean;
    readonly mapsAsObjects?: boolean;
    readonly int64AsType?: 'number';
  }
  export class Packr {
    constructor(options: Options);
    pack(value: unknown): Uint8Array;
  }
  export class Unpackr {
    constructor(options: Options);
    unpack(bytes: Uint8Array): unknown;
  }
  export function addExtension(extension: { readonly type: number; unpack(): never }): void;
}

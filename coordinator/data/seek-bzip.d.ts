/** The part of seek-bzip that is used; it has no types of its own. */
declare module 'seek-bzip' {
  interface ByteSource {
    readByte(): number;
    read(buffer: Uint8Array, offset: number, length: number): number;
    eof(): boolean;
  }
  interface ByteSink {
    writeByte(byte: number): void;
  }
  const bunzip: {
    /** @param multistream whether streams behind the first one are decoded too */
    decode(input: ByteSource, output: ByteSink, multistream: boolean): void;
  };
  export default bunzip;
}

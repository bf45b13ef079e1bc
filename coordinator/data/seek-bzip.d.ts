/** Types of the used part of seek-bzip, which has none. */
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
    /** @param multistream whether to decode streams after the first one */
    decode(input: ByteSource, output: ByteSink, multistream: boolean): void;
  };
  export default bunzip;
}

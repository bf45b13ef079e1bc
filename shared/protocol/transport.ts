/** One connection, whatever carries it. Frames arrive whole and in order. */
export interface Connection {
  send(frame: Uint8Array): void;
  close(code: number, reason: string): void;
  /** Drops the connection without a goodbye. */
  terminate(): void;
  /** Bytes that were given to send() and have not left yet. */
  readonly bufferedBytes: number;
  /** Whether the other end is known to be on this machine. */
  readonly isSameMachine?: boolean;
  /** The network of the other end, where that is known: an IPv4 address, or a /64 of IPv6. */
  readonly addressBlock?: string;
  /** How the last frame came, where that is known: bytes behind its first ones, and from those to its last. */
  readonly receiveTiming?: { readonly bytes: number; readonly ms: number } | undefined;
}

/** What a connection tells its owner. After onClose nothing more comes. */
export interface ConnectionEvents {
  onOpen(): void;
  onFrame(frame: Uint8Array): void;
  onClose(code: number, reason: string): void;
}

/** Opens a connection to a coordinator; failing to is an onClose, never an exception. */
export type Connect = (url: string, events: ConnectionEvents) => Connection;

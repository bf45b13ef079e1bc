/** A connection of any transport. Frames arrive complete and in order. */
export interface Connection {
  send(frame: Uint8Array): void;
  close(code: number, reason: string): void;
  /** Cuts the connection without a close frame. */
  terminate(): void;
  /** Bytes passed to send() that have not been sent yet. */
  readonly bufferedBytes: number;
  /** Whether the peer is known to be on this machine. */
  readonly isSameMachine?: boolean;
  /** Network of the peer, if it is known: an IPv4 address, or the /64 of an IPv6 address. */
  readonly addressBlock?: string;
  /** Bytes of the last frame after its first chunk, and the time between first and last chunk, if they are known. */
  readonly receiveTiming?: { readonly bytes: number; readonly ms: number } | undefined;
}

/** Events of a connection. onClose is the last one. */
export interface ConnectionEvents {
  onOpen(): void;
  onFrame(frame: Uint8Array): void;
  onClose(code: number, reason: string): void;
}

/**
 * Opens a connection to a coordinator. A connection that cannot be opened calls onClose.
 * @param fingerprint SHA-256 of the one certificate to trust, if the coordinator's link has it; browsers decide by themselves
 */
export type Connect = (url: string, events: ConnectionEvents, fingerprint?: string) => Connection;

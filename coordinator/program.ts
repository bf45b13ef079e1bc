/** What the commands need to know of the program around them. */
export interface Program {
  /** Runs gradcast itself: the program and its first arguments. */
  readonly command: readonly [string, ...string[]];
  /** The same, as a person types it. */
  readonly typed: string;
  /** Folder of the built page. */
  readonly pageDir: string;
  readonly version: string;
  /**
   * Gets what local workers compute with, if it is missing on this machine and can be had; may take minutes, and says by
   * itself how far it is.
   * @param engine as --engine names it
   */
  readonly prepareEngine: (engine: string, signal: AbortSignal) => Promise<void>;
}

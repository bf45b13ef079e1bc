/** What the commands need to know of the program around them. */
export interface Program {
  /** Runs gradcast itself: the program and its first arguments. */
  readonly command: readonly [string, ...string[]];
  /** The same, as a person types it. */
  readonly typed: string;
  /** Folder of the built page. */
  readonly pageDir: string;
  readonly version: string;
  /** How many local workers make the most of this machine; may measure for some seconds, and says so. */
  workersHere(engine: string, note: (line: string) => void): Promise<number>;
}

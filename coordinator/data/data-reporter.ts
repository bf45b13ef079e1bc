/** Where the loading of data says what it does. */
export interface DataReporter {
  /** A line for the person. */
  info(line: string): void;
  /** A line that must not be overlooked. */
  warn(line: string): void;
  /** @param totalBytes undefined while it is not known */
  progress(label: string, doneBytes: number, totalBytes: number | undefined): void;
}

/** Receiver of messages about loading data. */
export interface DataReporter {
  info(line: string): void;
  warn(line: string): void;
  /** @param totalBytes undefined if unknown */
  progress(label: string, doneBytes: number, totalBytes: number | undefined): void;
}

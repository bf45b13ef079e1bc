import type { LogFormat } from '../shared/json-log.ts';

export interface WorkerLogFlags {
  readonly quiet?: boolean;
  readonly log: LogFormat;
}

/** How a worker says what goes as it should, and what the person should know. */
export async function createWorkerLog({
  quiet,
  log,
}: WorkerLogFlags): Promise<Record<'info' | 'note', (line: string) => void>> {
  const write = (text: string): void => void process.stderr.write(text);
  const text = (line: string): void => write(`${line}\n`);
  const json = log === 'json' ? (await import('../shared/json-log.ts')).jsonLog(write) : null;
  const info = json === null ? text : (line: string): void => json.info(line);
  return {
    info: quiet === true ? () => undefined : info,
    note: json === null ? text : (line) => json.warn(line),
  };
}

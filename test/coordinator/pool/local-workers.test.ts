import { afterEach, expect, it, vi } from 'vitest';
import { startLocalWorkers } from '../../../coordinator/pool/local-workers.ts';

afterEach(() => vi.unstubAllEnvs());

const NOTES = [
  'WARNING: All log messages before absl::InitializeLog() is called are written to STDERR',
  'I0000 00:00:1795523731.893120   14358 port.cc:153] oneDNN custom operations are on.',
];
const ERROR = 'E0000 00:00:1795523731.893120   14358 allocator.cc:8] Out of memory.';

/** What is heard of a process that writes these lines and ends. */
async function heard(...lines: string[]): Promise<{ heard: string[]; last: string }> {
  const heard: string[] = [];
  const program = `console.error(${JSON.stringify(lines.join('\n'))})`;
  const workers = startLocalWorkers({
    count: 1,
    command: [process.execPath, '-e', program],
    url: 'ws://127.0.0.1:9',
    engine: 'native',
    onLine: (line) => heard.push(line),
  });
  return { last: await workers.exited, heard };
}

it('what TensorFlow notes without being asked is not said, what goes wrong is', async () => {
  vi.stubEnv('TF_CPP_MIN_LOG_LEVEL', undefined);
  expect(await heard('Hello.', NOTES[0]!, ERROR, NOTES[1]!)).toEqual({
    heard: ['Hello.', ERROR],
    last: ERROR,
  });
});

it('all of it is said where a person has set how much', async () => {
  vi.stubEnv('TF_CPP_MIN_LOG_LEVEL', '0');
  expect((await heard(...NOTES)).heard).toEqual(NOTES);
});

import { afterEach, expect, it, vi } from 'vitest';
import { startLocalWorkers } from '../../../coordinator/pool/local-workers.ts';

afterEach(() => vi.unstubAllEnvs());

const LOG_NOISE = [
  'WARNING: All log messages before absl::InitializeLog() is called are written to STDERR',
  'I0000 00:00:1795523731.893120   14358 port.cc:153] oneDNN custom operations are on.',
];
const ERROR = 'E0000 00:00:1795523731.893120   14358 allocator.cc:8] Out of memory.';

/** Starts a process that writes these lines and ends. @returns the reported lines and the last one */
async function runWith(...lines: string[]): Promise<{ reported: string[]; last: string }> {
  const reported: string[] = [];
  const program = `console.error(${JSON.stringify(lines.join('\n'))})`;
  const workers = startLocalWorkers({
    count: 1,
    command: [process.execPath, '-e', program],
    url: 'ws://127.0.0.1:9',
    engine: 'native',
    onLine: (line) => reported.push(line),
  });
  return { last: await workers.exited, reported };
}

it('drops log noise of TensorFlow, and reports its errors', async () => {
  vi.stubEnv('TF_CPP_MIN_LOG_LEVEL', undefined);
  expect(await runWith('Hello.', LOG_NOISE[0]!, ERROR, LOG_NOISE[1]!)).toEqual({
    reported: ['Hello.', ERROR],
    last: ERROR,
  });
});

it('reports all lines if TF_CPP_MIN_LOG_LEVEL is set', async () => {
  vi.stubEnv('TF_CPP_MIN_LOG_LEVEL', '0');
  expect((await runWith(...LOG_NOISE)).reported).toEqual(LOG_NOISE);
});

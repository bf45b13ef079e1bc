import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** Built program of the engine thread. */
export const engineThreadFile = fileURLToPath(
  new URL('../../dist/worker-node/thread/engine-thread.js', import.meta.url),
);

/**
 * Writes the program of an engine thread that opens and loads successfully and runs `onGradient` for each gradient. The
 * file is removed after the test.
 */
export async function writeFakeThread(onGradient: string): Promise<string> {
  return writeThread(`
    const info = { backend: 'fake', version: '1', device: 'none', threads: 1 };
    parentPort.on('message', ({ call, request }) => {
      const answer = (answer) => parentPort.postMessage({ type: 'answer', call, answer });
      if (request?.type === 'open') answer({ info, why: 'a test' });
      if (request?.type === 'load') answer({ supportsFactors: false });
      if (request?.type === 'gradient') { ${onGradient} }
    });`);
}

/** Writes the program of a thread. The file is removed after the test. */
export async function writeThread(program: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gradcast-thread-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'thread.mjs');
  await writeFile(file, `import { parentPort } from 'node:worker_threads';\n${program}\n`);
  return file;
}

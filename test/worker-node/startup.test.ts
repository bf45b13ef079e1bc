import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import module from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const dist = fileURLToPath(new URL('../../dist/', import.meta.url));
const program = fileURLToPath(new URL('../../bin/gradcast.js', import.meta.url));
const run = promisify(execFile);

/** Files and others that a file of dist/ imports before it runs, and that those import. */
async function importsOf(entry: string): Promise<{ readonly files: string[]; readonly others: string[] }> {
  const files = new Set<string>();
  const others = new Set<string>();
  const visit = async (file: string): Promise<void> => {
    if (files.has(file)) return;
    files.add(file);
    const text = await readFile(file, 'utf8');
    for (const [, from, alone] of text.matchAll(
      /^(?:(?:im|ex)port [^;]*?from "([^"]+)"|import "([^"]+)");$/gm,
    )) {
      const path = from ?? alone ?? '';
      if (path.startsWith('.')) await visit(resolve(dirname(file), path));
      else others.add(path);
    }
  };
  await visit(join(dist, entry));
  return { files: [...files], others: [...others] };
}

/** Sources of files of dist/, which esbuild names before each part. */
async function sourcesOf(files: readonly string[]): Promise<string[]> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return texts.flatMap((text) => [...text.matchAll(/^\/\/ (\S+\.[jt]s)$/gm)].map(([, path]) => path ?? ''));
}

describe('what a worker imports at its start', () => {
  test.each(['worker-node/run-workers.js', 'worker-node/thread/engine-thread.js'])(
    '%s contains its packages: Node 20 takes 30 ms to look for the exports of one in CommonJS',
    async (entry) => {
      const { others } = await importsOf(entry);
      expect(others.filter((name) => !module.isBuiltin(name))).toEqual([]);
    },
  );

  test('it never imports node:process, which reads every property of `process`', async () => {
    for (const entry of ['worker-node/run-workers.js', 'worker-node/thread/engine-thread.js'])
      expect((await importsOf(entry)).others).not.toContain('node:process');
  });

  test("a worker's process imports no model and no engine, which its thread has, and nothing that measures", async () => {
    const { files } = await importsOf('worker-node/run-workers.js');
    const sources = await sourcesOf(files);
    expect(sources).toContain('shared/worker/session.ts');
    expect(
      sources.filter((path) => /shared\/kernels\/webgpu|model-step|topology|autotune/.test(path)),
    ).toEqual([]);
  });

  test("the engine's thread starts from few files, without engines that it does not open", async () => {
    const { files } = await importsOf('worker-node/thread/engine-thread.js');
    expect(files.length).toBeLessThanOrEqual(5);
    const sources = await sourcesOf(files);
    expect(sources).toContain('shared/engine/remote-engine/server.ts');
    expect(
      sources.filter((path) => /open-native|open-webgpu|engine\/install|tfjs-backend-webg/.test(path)),
    ).toEqual([]);
  });

  test('the bundled ws finds the package that masks its frames in native code', async () => {
    const script = `await import(${JSON.stringify(join(dist, 'worker-node/run-workers.js'))});
      const { createRequire } = await import('node:module');
      console.log(Object.keys(createRequire(process.cwd() + '/').cache).join('\\n'));`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
    expect(stdout).toContain('bufferutil');
  });
});

describe('compiled code of earlier starts', () => {
  let folder: string;
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-startup-'))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const start = async (env: NodeJS.ProcessEnv): Promise<{ stdout: string; stderr: string }> =>
    run(process.execPath, [program, '--version'], { env: { ...process.env, ...env } });

  test('is kept where Node can', async () => {
    const cache = join(folder, 'cache');
    for (let i = 0; i < 2; i++)
      expect((await start({ NODE_COMPILE_CACHE: cache })).stdout).toMatch(/^\d+\.\d+/);
    expect((await readdir(folder)).includes('cache')).toBe('enableCompileCache' in module);
  });

  test('is not needed: a folder that cannot be made changes nothing', async () => {
    await writeFile(join(folder, 'file'), '');
    const { stdout, stderr } = await start({ NODE_COMPILE_CACHE: join(folder, 'file', 'cache') });
    expect(stdout).toMatch(/^\d+\.\d+/);
    expect(stderr).toBe('');
  });
});

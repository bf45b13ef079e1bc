import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { downloadWheel, matchesRequirement } from '../../../../worker-node/engine/install/pip.ts';
import { CorruptWheelError, unpackWheel } from '../../../../worker-node/engine/install/unpack-wheel.ts';
import { targetPath, extraRequirements } from '../../../../worker-node/engine/install/wheel-contents.ts';
import { fakePrograms } from '../../../support/fake-programs.ts';
import { zipBytes } from '../../../support/zip-bytes.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-wheel-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const { signal } = new AbortController();
const quiet = { signal, onProgress: () => undefined };
const contents = {
  'tensorflow/libtensorflow_cc.so.2': 'the library',
  'tensorflow/include/tensorflow/c/c_api.h': 'a header',
  'tensorflow/python/big.so': 'not needed',
};
const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url');

function wheel(files: Readonly<Record<string, string>>, claimed = files): Buffer {
  const record = Object.entries(claimed).map(
    ([name, text]) => `${name},sha256=${sha256(text)},${text.length}`,
  );
  return zipBytes({
    ...files,
    'tensorflow_cpu-2.21.0.dist-info/METADATA': 'Name: tensorflow-cpu',
    'tensorflow_cpu-2.21.0.dist-info/RECORD': record.join('\n'),
  });
}

test.each([
  ['tensorflow/libtensorflow_cc.so.2', 'lib/libtensorflow_cc.so.2'],
  ['tensorflow/libtensorflow_framework.so.2', 'lib/libtensorflow_framework.so.2'],
  ['tensorflow/include/tensorflow/c/eager/c_api.h', 'include/tensorflow/c/eager/c_api.h'],
  ['tensorflow/include/xla/tsl/c/tsl_status.h', 'include/xla/tsl/c/tsl_status.h'],
  ['nvidia/cudnn/lib/libcudnn.so.9', 'nvidia/cudnn/lib/libcudnn.so.9'],
  ['tensorflow/include/Eigen/Core', null],
  ['tensorflow/python/_pywrap_tensorflow_internal.so', null],
  ['nvidia/cudnn/include/cudnn.h', null],
  ['nvidia/../lib/x', null],
  ['tensorflow/include/tsl/', null],
])('the wheel entry %s is unpacked to %s', (entry, place) => {
  expect(targetPath(entry)).toBe(place);
});

test('only needed files are unpacked, and the progress ends at their size', async () => {
  const path = join(folder, 'a.whl');
  await writeFile(path, wheel(contents));
  let last: number[] = [];
  const onProgress = (...numbers: number[]): void => void (last = numbers);
  expect(await unpackWheel(path, join(folder, 'deps'), { signal, onProgress })).toBe('Name: tensorflow-cpu');
  const files = await readdir(join(folder, 'deps'), { recursive: true });
  expect(files.filter((name) => name.includes('.')).toSorted()).toEqual([
    'include/tensorflow/c/c_api.h',
    'lib/libtensorflow_cc.so.2',
  ]);
  expect(await readFile(join(folder, 'deps/lib/libtensorflow_cc.so.2'), 'utf8')).toBe('the library');
  expect(last).toEqual([19, 19]);
});

test('a wheel that is truncated, or does not match its hashes, is damaged', async () => {
  const other = { ...contents, 'tensorflow/libtensorflow_cc.so.2': 'the librarz' };
  for (const bytes of [wheel(contents).subarray(0, 200), wheel(other, contents), Buffer.alloc(0)]) {
    const path = join(folder, 'a.whl');
    await writeFile(path, bytes);
    await expect(unpackWheel(path, join(folder, 'deps'), quiet)).rejects.toThrow(CorruptWheelError);
  }
});

test('the CUDA libraries are those of the extra', () => {
  const metadata = [
    'Requires-Dist: numpy>=1.26.0',
    'Requires-Dist: nvidia-cublas-cu12<13.0,>=12.5.3.2; extra == "and-cuda"',
    "Requires-Dist: nvidia-cudnn-cu12 (<10.0,>=9.3.0.75) ; extra == 'and-cuda'",
    'Requires-Dist: other; extra == "test"',
  ].join('\n');
  expect(extraRequirements(metadata, 'and-cuda')).toEqual([
    'nvidia-cublas-cu12<13.0,>=12.5.3.2',
    'nvidia-cudnn-cu12<10.0,>=9.3.0.75',
  ]);
});

test('a wheel is recognized by its name', () => {
  const file = 'tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl';
  expect(matchesRequirement(file, 'tensorflow-cpu==2.21.0')).toBe(true);
  expect(matchesRequirement(file, 'tensorflow-cpu==2.20.0')).toBe(false);
  expect(matchesRequirement(file, 'tensorflow==2.21.0')).toBe(false);
  expect(matchesRequirement('nvidia_cudnn_cu12-9.5.0-py3.whl', 'nvidia-cudnn-cu12<10.0,>=9.3')).toBe(true);
});

/** Fake pip that has a wheel only for Python 3.12. Each call writes a line to `calls`. */
const fakePip = `
echo "$@" >> "$CALLS"
while [ $# -gt 0 ]; do
  case "$1" in -d) to="$2";; --python-version) version="$2";; esac
  shift
done
test "$version" = 3.12 || { echo 'ERROR: No matching distribution found'; exit 1; }
: > "$to/tensorflow_cpu-2.21.0-cp312-cp312-manylinux.whl"
`;

async function bring(script: string): Promise<{ path: Promise<string>; calls: () => Promise<string[]> }> {
  const callsFile = join(folder, 'calls');
  const bin = join(folder, 'bin');
  await fakePrograms(bin, { python3: script.replaceAll('$CALLS', callsFile) });
  const path = downloadWheel('tensorflow-cpu==2.21.0', 1, {
    python: join(bin, 'python3'),
    wheelsDir: join(folder, 'wheels'),
    signal,
    report: { print: () => undefined, update: () => undefined },
  });
  const calls = async (): Promise<string[]> => (await readFile(callsFile, 'utf8')).trim().split('\n');
  return { path, calls };
}

test('without a wheel for this Python that for another is downloaded, and kept', async () => {
  const first = await bring(fakePip);
  expect(await first.path).toMatch(/cp312/);
  const asked = await first.calls();
  expect(asked[0]).not.toContain('--python-version');
  expect(asked).toHaveLength(3);
  expect(asked.every((call) => call.includes('--no-deps'))).toBe(true);
  const again = await bring(fakePip);
  expect(await again.path).toBe(await first.path);
  expect(await again.calls()).toHaveLength(3);
});

test('files of a killed download are removed, and the error has the message of pip', async () => {
  const failing = await bring(': > /dev/null; echo "ERROR: no network"; exit 1');
  await expect(failing.path).rejects.toThrow('no network');
  expect(await readdir(join(folder, 'wheels'))).toEqual([]);
});

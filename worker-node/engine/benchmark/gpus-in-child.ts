import * as v from 'valibot';
import { parseJson } from '../../util/parse-json.ts';
import { runProgram } from '../../util/run-program.ts';
import { failureOf, gpuSchema } from './benchmark-child.ts';
import type { GpuProperties } from '../webgpu/gpus.ts';

const OUTPUT_PREFIX = 'gradcast-gpus ';
const TIMEOUT_MS = 60_000;

/** Formats the line that the child prints. */
export const formatGpusLine = (gpus: readonly GpuProperties[]): string =>
  `${OUTPUT_PREFIX}${JSON.stringify(gpus)}\n`;

/**
 * Reads the properties of all GPUs of this machine in a child process, so that a driver that crashes does not end this one.
 * @param command runs gradcast
 * @throws Error with a sentence's end if they cannot be read
 */
export async function readGpusInChild(
  command: readonly [string, ...string[]],
  signal: AbortSignal,
): Promise<readonly GpuProperties[]> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const result = await runProgram([...command, 'engine', 'gpus'], {
      signal: AbortSignal.any([signal, limit]),
    });
    const line = result.lines.find((each) => each.startsWith(OUTPUT_PREFIX));
    const parsed = v.safeParse(v.array(gpuSchema), parseJson(line?.slice(OUTPUT_PREFIX.length) ?? ''));
    if (!parsed.success) throw new Error(failureOf(result));
    return parsed.output;
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted)
      throw new Error(`the GPUs were not listed within ${TIMEOUT_MS / 1000} s`, { cause: error });
    throw error;
  }
}

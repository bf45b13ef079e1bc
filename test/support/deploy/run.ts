import { execFile, type ExecFileOptions } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
}

/** Time for a command that takes seconds on a busy machine; what takes longer never ends. */
export const COMMAND_TIMEOUT_MS = 120_000;

/**
 * Runs a program to its end.
 * @param options a `timeout` ends it by SIGKILL
 * @throws Error with the end of its output if it fails, or does not end in time
 */
export async function run(
  program: string,
  args: readonly string[],
  options: ExecFileOptions = {},
): Promise<RunResult> {
  try {
    const { stdout, stderr } = await execute(program, args, {
      maxBuffer: 2 ** 26,
      killSignal: 'SIGKILL',
      ...options,
    });
    return { stdout: String(stdout), stderr: String(stderr) };
  } catch (error) {
    const {
      stdout = '',
      stderr = '',
      message,
      killed = false,
    } = error as { stdout?: string; stderr?: string; message: string; killed?: boolean };
    const [firstLine] = message.split('\n');
    const why = killed ? ` (killed; its limit is ${options.timeout ?? 0} ms)` : '';
    throw new Error(`${firstLine ?? ''}${why}\n${`${stdout}\n${stderr}`.trim().slice(-4_000)}`, {
      cause: error,
    });
  }
}

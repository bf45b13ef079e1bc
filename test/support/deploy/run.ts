import { execFile, type ExecFileOptions } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end.
 * @throws Error with the end of its output if it fails
 */
export async function run(
  program: string,
  args: readonly string[],
  options: ExecFileOptions = {},
): Promise<RunResult> {
  try {
    const { stdout, stderr } = await execute(program, args, { maxBuffer: 2 ** 26, ...options });
    return { stdout: String(stdout), stderr: String(stderr) };
  } catch (error) {
    const {
      stdout = '',
      stderr = '',
      message,
    } = error as { stdout?: string; stderr?: string; message: string };
    const [firstLine] = message.split('\n');
    throw new Error(`${firstLine ?? ''}\n${`${stdout}\n${stderr}`.trim().slice(-4_000)}`, { cause: error });
  }
}

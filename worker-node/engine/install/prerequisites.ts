import { statfs, access, constants } from 'node:fs/promises';
import type { PackageManager } from '../../util/package-manager.ts';
import { runProgram } from '../../util/run-program.ts';
import type { Variant } from '../locate/target.ts';
import { dirname } from 'node:path';
import { makeFolder } from '../../util/make-folder.ts';

/** Tool that a build from a wheel needs besides Node. */
export type Prerequisite = 'python' | 'pip' | 'compiler' | 'make';

const GIB = 2 ** 30;
/** Peak of wheels, their libraries and the build. */
export const REQUIRED_DISK_BYTES: Readonly<Record<Variant, number>> = { cpu: 3 * GIB, gpu: 10 * GIB };

const PREREQUISITE_NAMES: Readonly<Record<Prerequisite, string>> = {
  python: 'Python 3',
  pip: 'pip for Python 3',
  compiler: 'a C++ compiler',
  make: 'make',
};

interface PackageManagerCommands {
  readonly install: string;
  readonly packages: Readonly<Record<Prerequisite, string>>;
}

const PACKAGE_MANAGERS: Readonly<Record<Exclude<PackageManager, 'none' | 'xcode'>, PackageManagerCommands>> =
  {
    apt: packageManager('sudo apt-get install -y', 'python3', 'python3-pip', 'g++', 'make'),
    dnf: packageManager('sudo dnf install -y', 'python3', 'python3-pip', 'gcc-c++', 'make'),
    yum: packageManager('sudo yum install -y', 'python3', 'python3-pip', 'gcc-c++', 'make'),
    zypper: packageManager('sudo zypper install -y', 'python3', 'python3-pip', 'gcc-c++', 'make'),
    pacman: packageManager('sudo pacman -S --needed', 'python', 'python-pip', 'gcc', 'make'),
    apk: packageManager('sudo apk add', 'python3', 'py3-pip', 'g++', 'make'),
    brew: packageManager('brew install', 'python', 'python', 'gcc', 'make'),
  };

function packageManager(
  install: string,
  python: string,
  pip: string,
  compiler: string,
  make: string,
): PackageManagerCommands {
  return { install, packages: { python, pip, compiler, make } };
}

/** Sentences that name the missing tools and the command that installs them. */
export function missingMessage(missing: readonly Prerequisite[], manager: PackageManager): string {
  const names = missing.map((each) => PREREQUISITE_NAMES[each]);
  const last = names.at(-1) ?? 'nothing';
  const list = names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`;
  const are = names.length < 2 ? 'is' : 'are';
  const them = names.length < 2 ? 'it' : 'them';
  const how =
    manager === 'none'
      ? `Install ${them} with this system's package manager.`
      : `Install ${them} with: ${installCommand(missing, manager)}`;
  return `${list.charAt(0).toUpperCase()}${list.slice(1)} ${are} missing. ${how}`;
}

function installCommand(missing: readonly Prerequisite[], manager: Exclude<PackageManager, 'none'>): string {
  if (manager === 'xcode') {
    return missing.every((each) => each === 'pip') ? 'python3 -m ensurepip --user' : 'xcode-select --install';
  }
  const { install, packages } = PACKAGE_MANAGERS[manager];
  return [install, ...new Set(missing.map((each) => packages[each]))].join(' ');
}

export interface Tools {
  /** Command of Python 3, or null. */
  readonly python: string | null;
  readonly missing: readonly Prerequisite[];
}

/**
 * Finds the tools by running them: a program on PATH may be a stub.
 * @param env has PATH, and optionally CXX and PYTHON, which are tried first
 */
export async function findTools(env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<Tools> {
  const works = async (...command: [string, ...string[]]): Promise<boolean> =>
    (await runProgram(command, { env, signal })).code === 0;
  const first = async (programs: readonly string[], ...args: string[]): Promise<string | null> => {
    for (const program of programs) if (await works(program, ...args)) return program;
    return null;
  };
  const fromEnv = (name: string | undefined): string[] => (name === undefined || name === '' ? [] : [name]);

  const missing: Prerequisite[] = [];
  const pythons = [...fromEnv(env.PYTHON), 'python3', 'python'];
  const isPython3 = 'import sys; sys.exit(sys.version_info[0] != 3)';
  const python = await first(pythons, '-c', isPython3);
  // Without Python there is no pip, and the user installs both at once.
  if (python === null) missing.push('python', 'pip');
  else if (!(await works(python, '-m', 'pip', '--version'))) missing.push('pip');
  if ((await first([...fromEnv(env.CXX), 'c++', 'g++', 'clang++'], '--version')) === null)
    missing.push('compiler');
  if (!(await works('make', '--version'))) missing.push('make');
  return { python, missing };
}

/** @returns a sentence if the folder's disk has too little space, else null */
export async function checkDiskSpace(folder: string, variant: Variant): Promise<string | null> {
  const { bavail, bsize } = await statfs(folder);
  return diskSpaceMessage(folder, bavail * bsize, REQUIRED_DISK_BYTES[variant]);
}

export function diskSpaceMessage(folder: string, freeBytes: number, neededBytes: number): string | null {
  if (freeBytes >= neededBytes) return null;
  const gib = (bytes: number): string => `${(bytes / GIB).toFixed(1)} GiB`;
  return (
    `The disk of ${folder} has ${gib(freeBytes)} free, and the installation needs ${gib(neededBytes)}. ` +
    'Free space there, or set XDG_CACHE_HOME to a folder on another disk.'
  );
}

/** Whether a message of a program or the system says that the disk is full. */
export const isDiskFull = (message: string): boolean =>
  /\b(ENOSPC|EDQUOT)\b|no space left on device|disk quota exceeded/i.test(message);

export const diskFullMessage = (folder: string): string =>
  `The disk of ${folder} is full. Free space there, or set XDG_CACHE_HOME to a folder on another disk.`;

const UNWRITABLE_REASONS: Readonly<Record<string, string>> = {
  EROFS: 'it is on a read-only file system',
  EACCES: 'permission denied',
  ENOTDIR: 'a part of its path is a file',
  EEXIST: 'a part of its path is a file',
  ENOENT: 'folders cannot be created there',
};

/**
 * Creates a folder if it is missing, and checks that it is writable.
 * @throws Error with a sentence
 */
export async function ensureWritable(folder: string): Promise<void> {
  try {
    makeFolder(folder);
    await access(folder, constants.W_OK);
  } catch (error) {
    const { code = '', message } = await findCause(folder, error as NodeJS.ErrnoException);
    if (isDiskFull(message)) throw new Error(diskFullMessage(folder), { cause: error });
    throw new Error(
      `The cache folder ${folder} is not writable (${UNWRITABLE_REASONS[code] ?? message}). ` +
        'Set XDG_CACHE_HOME to a writable folder.',
      { cause: error },
    );
  }
}

/** Finds the reason why a folder cannot be created: mkdir reports ENOENT, and a parent folder has the reason. */
async function findCause(folder: string, error: NodeJS.ErrnoException): Promise<NodeJS.ErrnoException> {
  if (error.code !== 'ENOENT' || dirname(folder) === folder) return error;
  try {
    await access(dirname(folder), constants.W_OK);
    return error;
  } catch (parentError) {
    return findCause(dirname(folder), parentError as NodeJS.ErrnoException);
  }
}

import { existsSync } from 'node:fs';
import { statfs, access, constants } from 'node:fs/promises';
import { runProgram } from '../../util/run-program.ts';
import type { Variant } from '../locate/target.ts';
import { dirname } from 'node:path';
import { makeFolder } from '../../util/make-folder.ts';

/** What a build from a wheel needs besides Node. */
export type Prerequisite = 'python' | 'pip' | 'compiler' | 'make';
/** Whoever supplies it on this platform. */
export type PackageManager = 'apt' | 'dnf' | 'yum' | 'zypper' | 'pacman' | 'apk' | 'brew' | 'xcode' | 'none';

const GIB = 2 ** 30;
/** Wheels, their libraries and the build at their largest moment. */
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

/** What is missing and how to get all of it, as a sentence. */
export function missingMessage(missing: readonly Prerequisite[], supplier: PackageManager): string {
  const names = missing.map((each) => PREREQUISITE_NAMES[each]);
  const last = names.at(-1) ?? 'nothing';
  const list = names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`;
  const [are, them] = names.length < 2 ? ['is', 'it'] : ['are', 'them'];
  const how =
    supplier === 'none'
      ? `Install ${them} with this system's package manager.`
      : `Install ${them} with: ${installCommand(missing, supplier)}`;
  return `${list.charAt(0).toUpperCase()}${list.slice(1)} ${are} missing. ${how}`;
}

function installCommand(missing: readonly Prerequisite[], supplier: Exclude<PackageManager, 'none'>): string {
  if (supplier === 'xcode') {
    return missing.every((each) => each === 'pip') ? 'python3 -m ensurepip --user' : 'xcode-select --install';
  }
  const { install, packages } = PACKAGE_MANAGERS[supplier];
  return [install, ...new Set(missing.map((each) => packages[each]))].join(' ');
}

/** @param has whether a program of that name is on PATH */
export function detectPackageManager(
  platform: NodeJS.Platform,
  has: (program: string) => boolean,
): PackageManager {
  if (platform === 'darwin') return has('brew') ? 'brew' : 'xcode';
  const programs: [string, PackageManager][] = [
    ['apt-get', 'apt'],
    ['dnf', 'dnf'],
    ['yum', 'yum'],
    ['zypper', 'zypper'],
    ['pacman', 'pacman'],
    ['apk', 'apk'],
    ['brew', 'brew'],
  ];
  return programs.find(([program]) => has(program))?.[1] ?? 'none';
}

export interface Tools {
  /** The Python that has pip, or null. */
  readonly python: string | null;
  readonly missing: readonly Prerequisite[];
}

/**
 * Looks for the tools by running them: a name on PATH alone may be a stub.
 * @param env PATH to look on; CXX and PYTHON are heeded
 */
export async function findTools(env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<Tools> {
  const works = async (...command: [string, ...string[]]): Promise<boolean> =>
    (await runProgram(command, { env, signal })).code === 0;
  const first = async (programs: readonly string[], ...args: string[]): Promise<string | null> => {
    for (const program of programs) if (await works(program, ...args)) return program;
    return null;
  };
  const given = (name: string | undefined): string[] => (name === undefined || name === '' ? [] : [name]);

  const missing: Prerequisite[] = [];
  const pythons = [...given(env.PYTHON), 'python3', 'python'];
  const isPython3 = 'import sys; sys.exit(sys.version_info[0] != 3)';
  const python = await first(pythons, '-c', isPython3);
  // Where there is no Python, there is no pip of it; whoever installs one will want both at once.
  if (python === null) missing.push('python', 'pip');
  else if (!(await works(python, '-m', 'pip', '--version'))) missing.push('pip');
  if ((await first([...given(env.CXX), 'c++', 'g++', 'clang++'], '--version')) === null)
    missing.push('compiler');
  if (!(await works('make', '--version'))) missing.push('make');
  return { python, missing };
}

/** Whether a program is on PATH. */
export function createPathLookup(env: NodeJS.ProcessEnv): (program: string) => boolean {
  const folders = (env.PATH ?? '').split(process.platform === 'win32' ? ';' : ':');
  return (program) => folders.some((folder) => folder !== '' && existsSync(`${folder}/${program}`));
}

/** @returns a sentence if the folder's disk has too little room, else null */
export async function checkDiskSpace(folder: string, variant: Variant): Promise<string | null> {
  const { bavail, bsize } = await statfs(folder);
  return diskSpaceMessage(folder, bavail * bsize, REQUIRED_DISK_BYTES[variant]);
}

export function diskSpaceMessage(folder: string, freeBytes: number, neededBytes: number): string | null {
  if (freeBytes >= neededBytes) return null;
  const gib = (bytes: number): string => `${(bytes / GIB).toFixed(1)} GiB`;
  return (
    `The disk of ${folder} has ${gib(freeBytes)} free, and the installation needs ${gib(neededBytes)}. ` +
    'Make room there, or set XDG_CACHE_HOME to a folder on another disk.'
  );
}

/** Whether what a program or the system says is that the disk is full. */
export const isDiskFull = (words: string): boolean =>
  /\b(ENOSPC|EDQUOT)\b|no space left on device|disk quota exceeded/i.test(words);

export const diskFullMessage = (folder: string): string =>
  `The disk of ${folder} is full. Make room there, or set XDG_CACHE_HOME to a folder on another disk.`;

const UNWRITABLE_REASONS: Readonly<Record<string, string>> = {
  EROFS: 'it is on a read-only file system',
  EACCES: 'permission denied',
  ENOTDIR: 'a part of its path is a file',
  EEXIST: 'a part of its path is a file',
  ENOENT: 'no folders can be made there',
};

/**
 * Sees to it that there is a folder that can be written to.
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
      `The cache folder ${folder} cannot be written to (${UNWRITABLE_REASONS[code] ?? message}). ` +
        'Set XDG_CACHE_HOME to a folder that can.',
      { cause: error },
    );
  }
}

/** Of a folder that cannot be made, mkdir says that it is not there; the reason lies further up. */
async function findCause(folder: string, error: NodeJS.ErrnoException): Promise<NodeJS.ErrnoException> {
  if (error.code !== 'ENOENT' || dirname(folder) === folder) return error;
  try {
    await access(dirname(folder), constants.W_OK);
    return error;
  } catch (further) {
    return findCause(dirname(folder), further as NodeJS.ErrnoException);
  }
}

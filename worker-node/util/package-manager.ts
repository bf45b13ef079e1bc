import { existsSync } from 'node:fs';

/** Program that installs tools on this platform. */
export type PackageManager = 'apt' | 'dnf' | 'yum' | 'zypper' | 'pacman' | 'apk' | 'brew' | 'xcode' | 'none';

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

/** @returns a function that tells whether a program is on PATH */
export function createPathLookup(env: NodeJS.ProcessEnv): (program: string) => boolean {
  const folders = (env.PATH ?? '').split(process.platform === 'win32' ? ';' : ':');
  return (program) => folders.some((folder) => folder !== '' && existsSync(`${folder}/${program}`));
}

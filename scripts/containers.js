// Finds or installs what the tests of deploy/ build and run images with.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Program -> its package in Debian and Ubuntu. */
const PROGRAMS = {
  podman: 'podman',
  // crun refuses machines that have the first and the second version of cgroups.
  runc: 'runc',
  netavark: 'netavark',
  'aardvark-dns': 'aardvark-dns',
  iptables: 'iptables',
  // Makes the base image from Debian's packages, as a registry of images may be out of reach.
  mmdebstrap: 'mmdebstrap',
};
/** Folders of programs that are not on every PATH. */
const FOLDERS = ['/usr/sbin', '/sbin', '/usr/lib/podman', '/usr/libexec/podman'];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const TIMEOUT_MS = 10 * 60_000;

/** Debian packages that are missing here. @param exists whether there is a file */
export function missingPackages(exists = existsSync) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...FOLDERS].filter(
    (folder) => folder !== '',
  );
  const packages = Object.entries(PROGRAMS)
    .filter(([program]) => !folders.some((folder) => exists(join(folder, program))))
    .map(([, name]) => name);
  return exists(KEYRING) ? packages : [...packages, 'debian-archive-keyring'];
}

/**
 * Installs the missing packages with apt-get.
 * @returns null, or a sentence that says why images cannot be built here
 */
export function getContainerTools() {
  if (process.platform !== 'linux') return 'Images of containers are tested on Linux only.';
  // The images' own network and limits need it.
  if (process.getuid?.() !== 0) return 'Images of containers are tested by root only: run the tests as root.';
  const missing = missingPackages();
  if (missing.length === 0) return null;
  console.log(`Installing ${missing.join(', ')} with apt-get ...`);
  const run = (...args) =>
    spawnSync('apt-get', args, { stdio: ['ignore', 'inherit', 'inherit'], timeout: TIMEOUT_MS });
  run('update', '-q');
  run('install', '-y', '-q', '--no-install-recommends', ...missing);
  const left = missingPackages();
  return left.length === 0 ? null : `Install these packages, by their names in Debian: ${left.join(', ')}.`;
}

import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { downloadFromNpm } from './packages.ts';
import type { Podman } from './podman.ts';
import { run } from './run.ts';

/** Stand-ins for the images that deploy/Dockerfile is based on, which a registry would serve. */
export interface BaseImages {
  readonly node: string;
  readonly base: string;
}

const NPM = 'npm@11.21.2';
/** Packages of a slim image of Debian that the Dockerfile uses. */
const DEBIAN_PACKAGES = 'base-files,base-passwd,coreutils,dash,grep,gzip,libstdc++6,sed,tar';

/**
 * Makes images with Debian's files and with the Node of deploy/Dockerfile from packages of Debian and npm, once for each version.
 * @param nodeImage default of NODE_IMAGE in the Dockerfile
 */
export async function makeBaseImages(podman: Podman, nodeImage: string): Promise<BaseImages> {
  const [, version, suite] = /^node:([\d.]+)-(\w+)-slim$/.exec(nodeImage) ?? [];
  if (version === undefined || suite === undefined)
    throw new Error(`${nodeImage} names no version of Node and Debian.`);
  // Where connections to registries are inspected, npm must trust the inspecting authority.
  const authorities = process.env.NODE_EXTRA_CA_CERTS;
  const trusted = authorities ? await readFile(authorities) : Buffer.alloc(0);
  const registry = (await run('npm', ['config', 'get', 'registry'])).stdout.trim();
  const key = createHash('sha256')
    .update(JSON.stringify([version, suite, NPM, DEBIAN_PACKAGES, registry, DOCKERFILE]))
    .update(trusted)
    .digest('hex')
    .slice(0, 12);
  const images = {
    node: `localhost/gradcast-checks-node:${key}`,
    base: `localhost/gradcast-checks-debian:${key}`,
  };
  if (await exists(podman, images.node)) return images;
  const folder = await mkdtemp(join(tmpdir(), 'gradcast-base-image-'));
  try {
    await makeDebian(suite, join(folder, 'debian.tar'));
    await unpack(
      await downloadFromNpm(`node-linux-${process.arch}@${version}`, null, folder),
      folder,
      'node',
    );
    await unpack(await downloadFromNpm(NPM, null, folder), folder, 'npm');
    await writeFile(join(folder, 'npm.sh'), NPM_PROGRAM, { mode: 0o755 });
    await (authorities
      ? copyFile(authorities, join(folder, 'ca.pem'))
      : writeFile(join(folder, 'ca.pem'), ''));
    await writeFile(join(folder, 'Dockerfile'), DOCKERFILE);
    const build = (target: string, tag: string) =>
      podman.run('build', '--target', target, '--build-arg', `REGISTRY=${registry}`, '-t', tag, folder);
    await build('debian', images.base);
    await build('node', images.node);
  } finally {
    await rm(folder, { recursive: true });
  }
  return images;
}

const exists = (podman: Podman, image: string): Promise<boolean> =>
  podman.run('image', 'exists', image).then(
    () => true,
    () => false,
  );

/** Files of Debian's packages. They are not configured, which takes ten times as long: the Dockerfile installs none. */
async function makeDebian(suite: string, file: string): Promise<void> {
  await run('mmdebstrap', ['--variant=extract', `--include=${DEBIAN_PACKAGES}`, suite, file]);
}

async function unpack(archive: string, folder: string, name: string): Promise<void> {
  await mkdir(join(folder, 'unpacked'));
  await run('tar', ['xzf', archive, '-C', join(folder, 'unpacked')]);
  await rename(join(folder, 'unpacked/package'), join(folder, name));
  await rm(join(folder, 'unpacked'), { recursive: true });
  await rm(archive);
}

const NPM_PROGRAM = `#!/bin/sh
exec node /usr/local/lib/node_modules/npm/bin/npm-cli.js "$@"
`;

const DOCKERFILE = `
FROM scratch AS debian
ADD debian.tar /
ENV PATH=/usr/local/bin:/usr/bin:/bin

FROM debian AS node
COPY node/bin/node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm/
COPY npm.sh /usr/local/bin/npm
COPY ca.pem /etc/ca.pem
ARG REGISTRY
ENV NODE_EXTRA_CA_CERTS=/etc/ca.pem npm_config_registry=$REGISTRY
`;

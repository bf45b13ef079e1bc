import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeBaseImages } from '../support/deploy/base-images.ts';
import { compose } from '../support/deploy/compose.ts';
import { describeWithContainers } from '../support/deploy/containers.ts';
import { openPodman, type Podman } from '../support/deploy/podman.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
const IMAGE = 'localhost/gradcast-checks:latest';
const PROJECT = 'gradcast-checks';
const EPOCHS = 30;
/** Its steps take some time until a file is removed, so that the run does not end before its containers are stopped. */
const TASK = `import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
const onStepEnd = () => (existsSync('/config/slow') ? setTimeout(20) : undefined);
export default {
  data: { source: 'animals.csv', target: 'kind' },
  epochs: ${EPOCHS},
  callbacks: [{ onStepEnd }],
};
`;

interface Inspected {
  readonly Config: { readonly User: string; readonly Labels: Readonly<Record<string, string>> };
  readonly Size: number;
}

interface Container {
  readonly State: { readonly ExitCode: number; readonly Status: string };
  readonly HostConfig: { readonly ReadonlyRootfs: boolean };
}

describeWithContainers('the image of deploy/Dockerfile', () => {
  let podman: Podman;
  let baseSize = 0;
  const image = async (name: string): Promise<Inspected> =>
    (JSON.parse((await podman.run('image', 'inspect', name)).stdout) as [Inspected])[0];
  beforeAll(async () => {
    podman = await openPodman();
    const dockerfile = await readFile(join(root, 'deploy/Dockerfile'), 'utf8');
    const { node, base } = await makeBaseImages(podman, /^ARG NODE_IMAGE=(.*)$/m.exec(dockerfile)?.[1] ?? '');
    const options = ['--file', join(root, 'deploy/Dockerfile'), '--format', 'docker', '--network', 'host'];
    const args = [`NODE_IMAGE=${node}`, `BASE_IMAGE=${base}`, 'REVISION=0123abc'];
    await podman.run(
      'build',
      ...options,
      ...args.flatMap((arg) => ['--build-arg', arg]),
      '--tag',
      IMAGE,
      root,
    );
    baseSize = (await image(base)).Size;
  });
  afterAll(() => podman[Symbol.asyncDispose]());

  test('is small, has labels, and does not run as root', async () => {
    const { Config, Size } = await image(IMAGE);
    // Node alone has 122 MB.
    expect(Size - baseSize).toBeLessThan(260e6);
    expect(Config.User).toBe('1000:1000');
    expect(Config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'gradcast',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.revision': '0123abc',
      'org.opencontainers.image.licenses': 'MIT',
    });
  });

  test('contains lists of its packages, which name every installed one', async () => {
    const program = `
      const { readFileSync } = require('node:fs');
      const read = (name) => JSON.parse(readFileSync('/usr/local/lib/node_modules/gradcast/' + name, 'utf8'));
      const { packages } = read('node_modules/.package-lock.json');
      const installed = Object.entries(packages).map(([path, { version }]) => path.replace(/^.*node_modules\\//, '') + ' ' + version);
      const cyclonedx = read('sbom.cdx.json').components.map(({ group, name, version }) => (group ? group + '/' : '') + name + ' ' + version);
      const spdx = read('sbom.spdx.json').packages.map(({ name, versionInfo }) => name + ' ' + versionInfo);
      console.log(JSON.stringify({ installed, cyclonedx, spdx }));`;
    const { stdout } = await podman.run(
      'run',
      '--rm',
      '--no-healthcheck',
      '--entrypoint',
      'node',
      IMAGE,
      '--eval',
      program,
    );
    const { installed, cyclonedx, spdx } = JSON.parse(stdout) as Record<
      'installed' | 'cyclonedx' | 'spdx',
      string[]
    >;
    expect(installed.length).toBeGreaterThan(20);
    expect(cyclonedx).toEqual(expect.arrayContaining(installed));
    expect(spdx).toEqual(expect.arrayContaining(installed));
    // Part of the bundles, and of no package that is installed.
    expect(cyclonedx.join('\n')).toContain('@tensorflow/tfjs-core 4.22.0');
  });

  test('trains as a coordinator and two workers of Compose; one that is stopped goes on where it was', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gradcast-compose-'));
    const address = await podman.serve();
    const onCompose = (...args: readonly string[]) =>
      compose(
        { DOCKER_HOST: address, GRADCAST_TOKEN: 'a token' },
        ...[
          '--project-name',
          PROJECT,
          '-f',
          join(root, 'deploy/compose.yaml'),
          '-f',
          join(folder, 'checks.yaml'),
        ],
        ...args,
      );
    const container = async (service: string): Promise<Container> =>
      (JSON.parse((await podman.run('inspect', `${PROJECT}-${service}`)).stdout) as [Container])[0];
    const logs = async (service: string): Promise<string> => {
      const { stdout, stderr } = await podman.run('logs', `${PROJECT}-${service}`);
      return stdout + stderr;
    };
    try {
      // The user of the container is another one.
      await chmod(folder, 0o755);
      await writeFile(join(folder, 'animals.csv'), animals(2_000));
      await writeFile(join(folder, 'task.ts'), TASK);
      await writeFile(join(folder, 'slow'), '');
      await writeFile(join(folder, 'checks.yaml'), overrides(folder));
      await onCompose('up', '--detach', '--no-build', '--scale', 'worker=2');
      await expect.poll(() => logs('coordinator-1')).toMatch(/"event":"epoch","epoch":1,/);

      await podman.run('healthcheck', 'run', `${PROJECT}-coordinator-1`);
      await podman.run('healthcheck', 'run', `${PROJECT}-worker-1`);
      for (const each of ['coordinator-1', 'worker-1']) {
        expect((await container(each)).HostConfig.ReadonlyRootfs).toBe(true);
        const { stdout } = await podman.run('exec', `${PROJECT}-${each}`, 'id', '-u');
        expect(stdout.trim()).toBe('1000');
      }

      // As a scheduler does: SIGTERM, and SIGKILL after the grace period, which would be exit code 137.
      await podman.run('stop', '--time', '30', `${PROJECT}-coordinator-1`);
      expect((await container('coordinator-1')).State).toMatchObject({ Status: 'exited', ExitCode: 130 });
      await podman.run('stop', '--time', '30', `${PROJECT}-worker-2`);
      expect((await container('worker-2')).State).toMatchObject({ Status: 'exited', ExitCode: 130 });
      expect((await container('worker-1')).State).toMatchObject({ Status: 'running' });

      await rm(join(folder, 'slow'));
      // Not `up`: with Podman, that would replace the worker that still runs.
      await onCompose('start');
      for (const each of ['coordinator-1', 'worker-1', 'worker-2']) {
        const state = async () => (await container(each)).State;
        await expect
          .poll(state, { timeout: 180_000, interval: 500, message: each })
          .toMatchObject({ Status: 'exited', ExitCode: 0 });
      }
      expect(await logs('coordinator-1')).toMatch(/Resuming \/data\/run after step/);
      const volume = (
        await podman.run('volume', 'inspect', '--format', '{{.Mountpoint}}', `${PROJECT}_data`)
      ).stdout.trim();
      const history = (await readFile(join(volume, 'run/history.jsonl'), 'utf8')).trim().split('\n');
      expect(history.map((line) => (JSON.parse(line) as { epoch: number }).epoch)).toEqual(
        Array.from({ length: EPOCHS }, (_, index) => index + 1),
      );
      expect(JSON.parse(await readFile(join(volume, 'run/model/model.json'), 'utf8'))).toHaveProperty(
        'modelTopology',
      );
    } catch (error) {
      console.error((await podman.run('ps', '--all')).stdout);
      for (const each of ['coordinator-1', 'worker-1', 'worker-2'])
        console.error(each, (await logs(each)).slice(-5_000));
      throw error;
    } finally {
      try {
        await onCompose('down', '--volumes', '--timeout', '0');
      } finally {
        await rm(folder, { recursive: true });
      }
    }
  });
});

/** Address of the coordinator, in a network for examples (RFC 5737). */
const ADDRESS = '198.51.100.10';

/**
 * Changes of deploy/compose.yaml for the test: image, data, port and address. The arguments are those of deploy/kubernetes/base, but for
 * the task. Workers find the coordinator without Podman's name service, which was seen to answer nothing after a start of containers.
 */
const overrides = (folder: string): string => `
services:
  coordinator:
    image: ${IMAGE}
    command: [coordinator, /config/task.ts, --resume-or-start, /data/run]
    # A worker that finds no run any more waits for its coordinator.
    environment: { GRADCAST_LOG: json, GRADCAST_MIN_WORKERS: '2' }
    ports: !reset []
    volumes: ['${folder}:/config:ro']
    networks: { default: { ipv4_address: ${ADDRESS} } }
  worker:
    image: ${IMAGE}
    extra_hosts: ['coordinator:${ADDRESS}']
networks:
  default: { ipam: { config: [{ subnet: 198.51.100.0/24 }] } }
`;

/** A table of two kinds that differ in one column. */
function animals(rows: number): string {
  const lines = Array.from(
    { length: rows },
    (_, row) => `${row % 2 === 0 ? 'cat' : 'dog'},${row % 2},${row % 7}`,
  );
  return `kind,size,other\n${lines.join('\n')}\n`;
}

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseManifests, type Manifest } from '../support/deploy/kubernetes.ts';
import { explains, fieldPaths, fieldsOfTable } from '../support/deploy/manifest-fields.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = join(root, 'deploy/kubernetes');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
  path.endsWith('.yaml'),
);
const read = (path: string) => parseManifests(readFileSync(join(folder, path), 'utf8'));

test('docs/guide/kubernetes.md has the reason of each field that the manifests set, and of no other', () => {
  const guide = readFileSync(join(root, 'docs/guide/kubernetes.md'), 'utf8');
  const [objects = '', kustomizations = ''] = guide
    .slice(guide.indexOf('## Every field'))
    .split('### Kustomize');
  const all = files.flatMap(read);
  const isKustomization = ({ kind }: Manifest): boolean => kind === 'Kustomization';
  for (const [section, manifests, count] of [
    [objects, all.filter((manifest) => !isKustomization(manifest)), 80],
    [kustomizations, all.filter(isKustomization), 15],
  ] as const) {
    const rows = fieldsOfTable(section);
    const paths = [...new Set(manifests.flatMap((manifest) => fieldPaths(manifest)))];
    expect(paths.length).toBeGreaterThan(count);
    expect(paths.filter((path) => !rows.some((row) => explains(row, path)))).toEqual([]);
    expect(rows.filter((row) => !paths.some((path) => explains(row, path)))).toEqual([]);
  }
});

interface PodTemplate {
  readonly metadata: { readonly labels: Record<string, string> };
  readonly spec: { readonly containers: readonly [{ readonly env: readonly { readonly name: string }[] }] };
}
interface WithTemplate {
  readonly spec: { readonly template: PodTemplate };
}
interface JobSet {
  readonly spec: { readonly replicatedJobs: readonly { readonly template: WithTemplate }[] };
}

test('pods of the JobSet are those of the Job and of the Deployment, except for the address and the labels', () => {
  const [jobSet] = read('jobset/jobset.yaml') as unknown as [JobSet];
  const own = jobSet.spec.replicatedJobs.map(({ template }) => template.spec.template);
  const [job] = read('base/coordinator.yaml') as unknown as [WithTemplate];
  const [deployment] = read('base/worker.yaml') as unknown as [WithTemplate];
  const common = ({ spec }: PodTemplate): object => {
    const text = JSON.stringify({ ...spec, restartPolicy: 'Never' });
    return JSON.parse(
      text
        .replace('gradcast-coordinator-0-0.gradcast:2718', 'gradcast-coordinator:2718')
        .replaceAll('"app.kubernetes.io/name":"gradcast",', ''),
    ) as object;
  };
  expect(own.map(common)).toEqual([job, deployment].map(({ spec }) => common(spec.template)));
});

test('variables of pods are options of gradcast', () => {
  const help = readFileSync(join(root, 'bin/cli.cjs'), 'utf8');
  const names = files
    .flatMap((path) => [...readFileSync(join(folder, path), 'utf8').matchAll(/name: GRADCAST_(\w+)/g)])
    .map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(4);
  const isOption = (name: string): boolean =>
    name === 'URL' || help.includes(`--${name.toLowerCase().replaceAll('_', '-')} `);
  expect(names.filter((name) => !isOption(name))).toEqual([]);
});

test('no secret is committed, and the file that has it is ignored by git and by builds', () => {
  expect(files.flatMap(read).filter(({ kind }) => kind === 'Secret')).toEqual([]);
  const ignored = readFileSync(join(root, '.gitignore'), 'utf8');
  for (const file of ['*/token', 'tls/tls.crt', 'tls/tls.key'])
    expect(ignored).toContain(`deploy/kubernetes/${file}\n`);
  expect(readFileSync(join(root, '.dockerignore'), 'utf8')).toMatch(/^\*$/m);
});

test('images are pinned, and have the version of the package', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const dockerfile = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8');
  expect(dockerfile).toMatch(/^ARG NODE_IMAGE=node:\d+\.\d+\.\d+-\w+-slim$/m);
  expect(dockerfile).toMatch(/^ARG BASE_IMAGE=debian:\d+\.\d+-slim$/m);
  expect(dockerfile).toContain(`ARG VERSION=${version}\n`);
  const tags = files
    .filter((path) => path.endsWith('kustomization.yaml'))
    .flatMap((path) => {
      const { images = [] } = parse(readFileSync(join(folder, path), 'utf8')) as {
        images?: { newTag: string }[];
      };
      return images.map(({ newTag }) => newTag.replace(/-cuda$/, ''));
    });
  expect(new Set(tags)).toEqual(new Set([version]));
  expect(readFileSync(join(root, 'deploy/compose.yaml'), 'utf8')).toContain(`image: gradcast:${version}\n`);
});

test('files that builds leave out are not needed: each that deploy/Dockerfile copies from the sources is let in', () => {
  const allowed = readFileSync(join(root, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1));
  expect(allowed.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { compose } from '../support/deploy/compose.ts';
import { describeWithContainers } from '../support/deploy/containers.ts';
import {
  createManifestCheck,
  kustomize,
  KUBERNETES_VERSIONS,
  type Manifest,
} from '../support/deploy/kubernetes.ts';

const deploy = fileURLToPath(new URL('../../deploy', import.meta.url));

describe.each(KUBERNETES_VERSIONS)('the manifests fit the schemas of Kubernetes %s', (version) => {
  let check: (manifest: Manifest) => string[];
  beforeAll(async () => {
    check = await createManifestCheck(version);
  });

  test.each([
    [
      'base',
      [
        'ConfigMap',
        'Deployment',
        'Job',
        'NetworkPolicy',
        'PersistentVolumeClaim',
        'PodDisruptionBudget',
        'Secret',
        'Service',
      ],
    ],
    ['gpu', ['Deployment', 'Job']],
    ['autoscaling', ['Deployment', 'HorizontalPodAutoscaler', 'Job']],
    ['jobset', ['ConfigMap', 'JobSet', 'NetworkPolicy', 'PersistentVolumeClaim', 'Secret']],
  ])('%s', async (name, kinds) => {
    const manifests = await kustomize(join(deploy, 'kubernetes'), name);
    expect(manifests.map(({ kind }) => kind)).toEqual(expect.arrayContaining(kinds));
    expect(manifests.flatMap(check)).toEqual([]);
  });

  test('a field that does not exist is found, in a pod of a JobSet too', async () => {
    const [manifest] = (await kustomize(join(deploy, 'kubernetes'), 'jobset')).filter(
      ({ kind }) => kind === 'JobSet',
    );
    const text = JSON.stringify(manifest);
    const misspelt = JSON.parse(text.replaceAll('terminationGracePeriodSeconds', 'gracePeriod')) as Manifest;
    expect(check(misspelt).join('\n')).toContain('"additionalProperty":"gracePeriod"');
    const wrongPolicy = JSON.parse(text.replace('"operator":"All"', '"operator":"Both"')) as Manifest;
    expect(check(wrongPolicy).join('\n')).toContain('/spec/successPolicy/operator');
  });
});

describeWithContainers('deploy/compose.yaml', () => {
  test('Compose accepts its file, and asks for the token', async () => {
    const file = join(deploy, 'compose.yaml');
    await expect(compose({ GRADCAST_TOKEN: '' }, '-f', file, 'config', '--quiet')).rejects.toThrow(
      /GRADCAST_TOKEN/,
    );
    const { stdout } = await compose({ GRADCAST_TOKEN: 's3cret' }, '-f', file, 'config', '--format', 'json');
    expect(JSON.parse(stdout)).toMatchObject({
      services: { coordinator: { read_only: true }, worker: { read_only: true } },
    });
  });
});

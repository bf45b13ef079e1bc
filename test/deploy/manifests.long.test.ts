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
    ['tls', ['Deployment', 'Job', 'Secret']],
    ['relays', ['Deployment', 'Job', 'NetworkPolicy', 'Service']],
    ['autoscaling', ['Deployment', 'HorizontalPodAutoscaler', 'Job']],
    ['jobset', ['ConfigMap', 'JobSet', 'NetworkPolicy', 'PersistentVolumeClaim', 'Secret']],
  ])('%s', async (name, kinds) => {
    const manifests = await kustomize(join(deploy, 'kubernetes'), name);
    expect(manifests.map(({ kind }) => kind)).toEqual(expect.arrayContaining(kinds));
    expect(manifests.flatMap(check)).toEqual([]);
  });

  test('tls changes the scheme of every probe, and the address and trust of workers', async () => {
    const manifests = await kustomize(join(deploy, 'kubernetes'), 'tls');
    const job = JSON.stringify(manifests.find(({ kind }) => kind === 'Job'));
    expect(job.match(/"scheme":"HTTPS"/g)).toHaveLength(job.match(/"httpGet"/g)?.length ?? 0);
    const secret = manifests.find(({ type }) => type === 'kubernetes.io/tls')?.metadata.name ?? '';
    const worker = JSON.stringify(manifests.find(({ kind }) => kind === 'Deployment'));
    for (const pod of [job, worker]) expect(pod).toContain(`"secretName":"${secret}"`);
    expect(worker).toContain('"value":"https://gradcast-coordinator:2718"');
    // The key stays with the coordinator.
    expect(worker).toContain('"items":[{"key":"tls.crt","path":"tls.crt"}]');
  });

  test('relays stand between workers and coordinator, which keep their image and token', async () => {
    const manifests = await kustomize(join(deploy, 'kubernetes'), 'relays');
    const deploymentOf = (name: string): string =>
      JSON.stringify(manifests.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === name));
    const [worker, relay] = ['gradcast-worker', 'gradcast-relay'].map(deploymentOf);
    expect(worker).toContain('{"name":"GRADCAST_URL","value":"gradcast-relay:2718"}');
    expect(relay).toContain('{"name":"GRADCAST_URL","value":"gradcast-coordinator:2718"}');
    const token = /"secretKeyRef":\{[^}]*\}/;
    expect(token.exec(relay ?? '')?.[0]).toEqual(token.exec(worker ?? '')?.[0]);
    const image = /"image":"[^"]*"/;
    expect(image.exec(relay ?? '')?.[0]).toEqual(image.exec(worker ?? '')?.[0]);
    const service = manifests.find(
      ({ kind, metadata }) => kind === 'Service' && metadata.name === 'gradcast-relay',
    );
    expect(service?.spec).toMatchObject({
      selector: { 'app.kubernetes.io/component': 'relay', 'app.kubernetes.io/name': 'gradcast' },
    });
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

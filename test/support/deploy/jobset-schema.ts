/**
 * JSON schema of a JobSet (jobset.x-k8s.io/v1alpha2) as its custom resource definition describes it, in version 0.13 of
 * kubernetes-sigs/jobset. The fields of volumeClaimPolicies, which the manifests do not use, are left out.
 * @param kubernetes reference to the schema of a type of Kubernetes
 */
export function jobSetSchema(kubernetes: (name: string) => string): object {
  return object(
    {
      apiVersion: { const: 'jobset.x-k8s.io/v1alpha2' },
      kind: { const: 'JobSet' },
      metadata: { $ref: kubernetes('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta') },
      spec: object({
        coordinator: object({ replicatedJob: STRING, jobIndex: INTEGER, podIndex: INTEGER }, 'replicatedJob'),
        failurePolicy: object({
          maxRestarts: INTEGER,
          restartStrategy: oneOf('Recreate', 'BlockingRecreate', 'InPlaceRestart'),
          rules: list(
            object(
              {
                action: oneOf(
                  'FailJobSet',
                  'RestartJobSet',
                  'RestartJobSetAndIgnoreMaxRestarts',
                  'RestartJob',
                  'RestartJobAndIgnoreMaxRestarts',
                ),
                name: STRING,
                onJobFailureMessagePatterns: list(STRING),
                onJobFailureReasons: list(STRING),
                targetReplicatedJobs: list(STRING),
              },
              'action',
              'name',
            ),
          ),
        }),
        managedBy: STRING,
        network: object({
          enableDNSHostnames: { type: 'boolean' },
          publishNotReadyAddresses: { type: 'boolean' },
          subdomain: STRING,
        }),
        replicatedJobs: list(
          object(
            {
              dependsOn: list(object({ name: STRING, status: oneOf('Ready', 'Complete') }, 'name', 'status')),
              groupName: STRING,
              name: STRING,
              replicas: COUNT,
              template: { $ref: kubernetes('io.k8s.api.batch.v1.JobTemplateSpec') },
            },
            'name',
            'template',
          ),
        ),
        startupPolicy: object({ startupPolicyOrder: oneOf('AnyOrder', 'InOrder') }, 'startupPolicyOrder'),
        successPolicy: object(
          { operator: oneOf('All', 'Any'), targetReplicatedJobs: list(STRING) },
          'operator',
        ),
        suspend: { type: 'boolean' },
        ttlSecondsAfterFinished: COUNT,
      }),
    },
    'apiVersion',
    'kind',
    'metadata',
    'spec',
  );
}

const STRING = { type: 'string' };
const INTEGER = { type: 'integer' };
const COUNT = { type: 'integer', minimum: 0 };
const oneOf = (...values: readonly string[]): object => ({ enum: values });
const list = (items: object): object => ({ type: 'array', items });
const object = (properties: Readonly<Record<string, object>>, ...required: readonly string[]): object => ({
  ...{ type: 'object', properties, required, additionalProperties: false },
});

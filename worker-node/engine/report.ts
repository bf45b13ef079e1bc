import { cpus, release } from 'node:os';
import type { EngineBenchmark } from './benchmark/benchmark-child.ts';
import type { Diagnosis, Finding } from './doctor.ts';
import type { GpuProperties } from './webgpu/gpus.ts';
import { WEBGPU_VERSION } from './webgpu/webgpu-package.ts';

/** Columns of the table in docs/guide/gpus.md. */
const COLUMNS = [
  'Vendor',
  'GPU',
  'Driver',
  'System',
  'Engine',
  'ms a sample (batch)',
  'Difference of the gradient',
  'gradcast, Node',
] as const;

/** Properties of the machine that the findings do not have. */
export interface Machine {
  /** System, and version of its kernel. */
  readonly system: string;
  readonly processor: string;
}

const thisMachine = (): Machine => ({
  system: `${process.platform} ${release().split('-')[0]} ${process.arch}`,
  processor: cpus()[0]?.model.trim() ?? 'unknown',
});

/**
 * Formats rows of the table of GPUs in docs/guide/gpus.md, one for each engine of a GPU, and details of all engines. It has no name and
 * no folder of the machine or its user.
 * @param version of gradcast
 * @returns the text as Markdown, and whether a GPU computes
 */
export function formatReport(
  { node, cores, findings }: Diagnosis,
  version: string,
  { system, processor }: Machine = thisMachine(),
): { readonly text: string; readonly hasGpu: boolean } {
  const versions = `${version}, ${node.replace(/^v/, '')}`;
  const ofGpus = findings.filter(({ engine, benchmark }) => engine === 'webgpu' || benchmark?.gpu === true);
  const rows = ofGpus.map((finding) => {
    const gpu = usedGpu(finding.benchmark);
    return [
      ...[gpu?.vendor ?? '', gpu === undefined ? (finding.benchmark?.device ?? '') : nameOf(gpu)],
      ...[gpu?.driver ?? '', system],
      ...[engineName(finding), speed(finding), difference(finding.benchmark), versions],
    ];
  });
  const details = findings.flatMap((finding) => [
    `- ${engineName(finding)}: ${speed(finding)}`,
    ...(finding.benchmark?.gpus ?? []).map(
      (gpu) =>
        `  - GPU ${gpu.number}: ${[gpu.name, gpu.vendor, gpu.architecture, gpu.driver, gpu.system].map(escape).join(', ')}` +
        (gpu.isSoftware ? ', software' : ''),
    ),
  ]);
  const lines = [
    ...[COLUMNS, COLUMNS.map(() => '---'), ...rows].map((cells) => `| ${cells.map(escape).join(' | ')} |`),
    ...['', `Processor: ${escape(processor)}, ${cores} cores`, '', ...details],
  ];
  return { text: lines.join('\n'), hasGpu: findings.some(({ benchmark }) => benchmark?.gpu === true) };
}

const nameOf = ({ name, isSoftware }: GpuProperties): string => `${name}${isSoftware ? ', software' : ''}`;

/** GPU that WebGPU has used: the one that its device describes. */
function usedGpu(benchmark: EngineBenchmark | null): GpuProperties | undefined {
  return benchmark?.gpus.find(
    ({ vendor, architecture, driver }) =>
      benchmark.device.startsWith(`${vendor} ${architecture}`.trim()) && benchmark.device.includes(driver),
  );
}

function engineName({ engine, benchmark }: Finding): string {
  const tfjs = benchmark === null ? '' : `, TensorFlow.js ${benchmark.version}`;
  if (engine === 'webgpu') return `WebGPU, Dawn of webgpu ${WEBGPU_VERSION}${tfjs}`;
  if (engine === 'wasm') return `WebAssembly${tfjs}`;
  const tensorflow = benchmark?.tensorflow == null ? '' : ` ${benchmark.tensorflow}`;
  return `TensorFlow${tensorflow}${benchmark?.gpu === true ? ', CUDA' : ''}`;
}

function speed({ benchmark, reason }: Finding): string {
  // The reason may name folders of the user.
  if (benchmark === null) return (reason ?? 'does not work').replaceAll(/\S*[/\\]\S+/g, '…');
  const { msPerSample, batch, threads, gpu } = benchmark;
  return `${msPerSample.toFixed(3)} (${batch})${gpu ? '' : `, processor, ${threads} thread${threads === 1 ? '' : 's'}`}`;
}

const difference = (benchmark: EngineBenchmark | null): string => benchmark?.difference?.toPrecision(2) ?? '';

/** Text of a cell: drivers name themselves as they like. */
const escape = (text: string): string =>
  text
    .replaceAll(/[\r\n]+/g, ' ')
    .replaceAll('|', '\\|')
    .replaceAll('<', '&lt;');

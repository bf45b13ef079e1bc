import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Dataset } from '../../shared/data/dataset.ts';
import { limitTo } from '../../shared/data/dataset.ts';
import type { Report } from '../report/report.ts';
export async function openDataset(
  flags: { data?: string; seed: number; limit?: number },
  _report: Report,
): Promise<Dataset> {
  const r = (f: string) => new Uint8Array(gunzipSync(readFileSync(`${flags.data}/${f}-ubyte.gz`)));
  const split = (p: string) => {
    const i = r(p + '-images-idx3');
    const l = r(p + '-labels-idx1');
    return { images: i.subarray(16), labels: l.subarray(8), count: l.length - 8 };
  };
  const d: Dataset = {
    name: 'mnist',
    description: 'MNIST',
    sampleShape: [28, 28, 1],
    classes: 10,
    train: split('train'),
    test: split('t10k'),
  };
  return flags.limit ? limitTo(d, flags.limit) : d;
}

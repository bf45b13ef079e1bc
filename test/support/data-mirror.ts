import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import type { DataReporter } from '../../coordinator/data/data-reporter.ts';
import { sha256, type ByRole, type PublishedFile } from '../../coordinator/data/named/data-sets.ts';

export interface Mirror extends AsyncDisposable {
  /** Ends in a slash. */
  readonly address: string;
  /** Requested paths, in order. */
  readonly requestedPaths: string[];
}

/** Starts a real HTTP server on a free port. */
export async function startMirror(
  answer: (name: string, response: ServerResponse, request: IncomingMessage) => void,
): Promise<Mirror> {
  const requestedPaths: string[] = [];
  const server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1);
    requestedPaths.push(name);
    answer(name, response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}/`,
    requestedPaths,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Starts a mirror that serves each file gzipped, as `name`.gz. */
export function startGzipMirror(files: Record<string, Uint8Array>): Promise<Mirror> {
  return startMirror((name, response) => {
    const bytes = files[name.replace(/\.gz$/, '')];
    if (bytes === undefined) response.writeHead(404).end();
    else response.end(gzipSync(bytes));
  });
}

/** Sizes and SHA-256 sums of files, in the form in which those of MNIST are published. */
export function publishedFiles(files: Record<string, Uint8Array>): ByRole<PublishedFile> {
  const of = (name: string): PublishedFile => {
    const bytes = files[name]!;
    return { name, bytes: bytes.length, sha256: sha256(bytes) };
  };
  return {
    trainImages: of('train-images-idx3-ubyte'),
    trainLabels: of('train-labels-idx1-ubyte'),
    testImages: of('t10k-images-idx3-ubyte'),
    testLabels: of('t10k-labels-idx1-ubyte'),
  };
}

/** Records the messages of a data source. */
export class RecordingDataReport implements DataReporter {
  readonly infos: string[] = [];
  readonly warnings: string[] = [];
  readonly steps: { label: string; done: number; total: number | undefined }[] = [];
  info(line: string): void {
    this.infos.push(line);
  }
  warn(line: string): void {
    this.warnings.push(line);
  }
  progress(label: string, done: number, total: number | undefined): void {
    this.steps.push({ label, done, total });
  }
}

import { Endpoint, type EndpointOptions, type ServedRun } from '../../coordinator/server/endpoint.ts';
import { startServer, type RunningServer, type ServerOptions } from '../../coordinator/server/http.ts';
import { systemClock } from '../../shared/util/clock.ts';

export type TestServerOptions = EndpointOptions & ServedRun & ServerOptions;

/** Starts a server on a free port for clients that no run reads, unless `connect` does. */
export async function startTestServer(options: Partial<TestServerOptions> = {}): Promise<RunningServer> {
  const all: TestServerOptions = {
    host: '127.0.0.1',
    port: 0,
    path: '/',
    pageDir: 'dist/page',
    hasToken: false,
    maxFrameBytes: 1 << 20,
    clock: systemClock(globalThis),
    routes: () => null,
    connect: () => ({ onFrame: () => undefined, onClose: () => undefined }),
    ...options,
  };
  const endpoint = new Endpoint(all);
  endpoint.serve(all);
  const server = await startServer(endpoint, all);
  return {
    port: server.port,
    close() {
      endpoint.close();
      return server.close();
    },
  };
}

import type { EngineWorker } from './engine-process.ts';
import type { FromEngine } from './messages.ts';

/** Starts the program of an engine. */
export function startEngineWorker(url: URL): EngineWorker {
  const worker = new Worker(url, { type: 'module' });
  return {
    post: (message, transfer) => worker.postMessage(message, [...transfer]),
    end: () => worker.terminate(),
    listen(onMessage, onBroken) {
      worker.onmessage = ({ data }: MessageEvent<FromEngine>) => onMessage(data);
      worker.onerror = (event) => {
        event.preventDefault();
        onBroken(event.message || 'its Web Worker could not be loaded');
      };
    },
  };
}

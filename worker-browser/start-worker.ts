/**
 * Starts a Web Worker from a file. Browsers start no Web Worker from another origin, but a module of their own may import one.
 * @param origin origin of the page
 */
export function startWorker(file: URL, origin: string): Worker {
  if (file.origin === origin) return new Worker(file, { type: 'module' });
  const code = new Blob([`import ${JSON.stringify(file.href)};`], { type: 'text/javascript' });
  const url = URL.createObjectURL(code);
  const worker = new Worker(url, { type: 'module' });
  const release = (): void => URL.revokeObjectURL(url);
  worker.addEventListener('message', release, { once: true });
  worker.addEventListener('error', release, { once: true });
  return worker;
}

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import { errorMessage } from '../../shared/util/error-message.ts';
import type { Routes } from './routes.ts';

/** A file of the page, with the compressed versions from the build. */
interface PageFile {
  readonly body: Buffer;
  readonly brotli: Buffer | null;
  readonly gzip: Buffer | null;
  readonly contentType: string;
  readonly cacheControl: string;
  readonly etag: string;
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html;charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.txt': 'text/plain',
};
/** File names that contain a hash of the content. */
const HASHED_NAME = /-[A-Z0-9]{8}\.[a-z]+$/;
const CACHE_FOREVER = 'public, max-age=31536000, immutable';

/**
 * Finds the files of a folder by their paths. They are served from memory, so that an aborted request leaves no file open. The
 * folder, some megabytes, is read once; changes during a run are not noticed.
 * @param folder without subfolders; if it does not exist, it has no files
 */
export function findPageFiles(folder: string): Routes {
  const files = readFolder(folder);
  return (path) => {
    const file = files.get(path === '/' ? '/index.html' : path);
    return file === undefined ? null : (request, response) => send(file, request, response);
  };
}

function send(file: PageFile, { headers, method }: IncomingMessage, response: ServerResponse): void {
  response.setHeader('Cache-Control', file.cacheControl);
  response.setHeader('ETag', file.etag);
  response.appendHeader('Vary', 'Accept-Encoding');
  if (headers['if-none-match']?.includes(file.etag) === true) {
    response.writeHead(304).end();
    return;
  }
  const [coding, body] = chooseEncoding(file, headers['accept-encoding']);
  response.setHeader('Content-Type', file.contentType);
  response.setHeader('Content-Length', body.length);
  if (coding !== null) response.setHeader('Content-Encoding', coding);
  response.end(method === 'HEAD' ? undefined : body);
}

/** Smallest version that the client accepts. */
function chooseEncoding(file: PageFile, accepted = ''): readonly [string | null, Buffer] {
  if (file.brotli !== null && accepts(accepted, 'br')) return ['br', file.brotli];
  if (file.gzip !== null && accepts(accepted, 'gzip')) return ['gzip', file.gzip];
  return [null, file.body];
}

/** Whether an Accept-Encoding header names a coding, other than with weight 0 (RFC 9110, 12.5.3). */
function accepts(header: string, coding: string): boolean {
  return header.split(',').some((part) => {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    return name === coding && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}

function readFolder(folder: string): ReadonlyMap<string, PageFile> {
  const names = listFileNames(folder);
  const files = new Map<string, PageFile>();
  for (const name of names) {
    if (/\.(br|gz)$/.test(name)) continue;
    const body = readFileSync(join(folder, name));
    const compressed = (extension: string): Buffer | null =>
      names.has(name + extension) ? readFileSync(join(folder, name + extension)) : null;
    files.set(`/${name}`, {
      body,
      brotli: compressed('.br'),
      gzip: compressed('.gz'),
      contentType: CONTENT_TYPES[extname(name)] ?? 'application/octet-stream',
      cacheControl: HASHED_NAME.test(name) ? CACHE_FOREVER : 'no-cache',
      // Weak, because the compressed versions share it.
      etag: `W/"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
    });
  }
  return files;
}

function listFileNames(folder: string): ReadonlySet<string> {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return new Set(entries.filter((entry) => entry.isFile()).map(({ name }) => name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Set();
    const reason = errorMessage(error);
    throw new Error(`Cannot read the page in ${folder}: ${reason}. Reinstall gradcast.`, {
      cause: error,
    });
  }
}

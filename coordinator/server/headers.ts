import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * The page may load files from this server, compile WebAssembly and open WebSockets. No other page may frame it, so that no
 * other site can make its visitors compute.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "connect-src 'self' ws: wss:",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Sets the headers that protect the page and its visitors. */
export function setSecurityHeaders(response: ServerResponse): void {
  response.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY);
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
}

/** Lets pages of allowed origins load a file as a module, a Web Worker's part or WebAssembly. */
export function allowOrigin(
  { headers }: Pick<IncomingMessage, 'headers'>,
  response: ServerResponse,
  allowedOrigins: readonly string[],
): void {
  response.appendHeader('Vary', 'Origin');
  // A script element sends no Origin, and its page may require this header (Cross-Origin-Embedder-Policy).
  response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
  const { origin } = headers;
  if (origin !== undefined && allowedOrigins.includes(origin))
    response.setHeader('Access-Control-Allow-Origin', origin);
}

/**
 * Parses origins of sites, such as https://example.org.
 * @throws TypeError with a sentence that names one that is no origin
 */
export function parseOrigins(origins: readonly unknown[]): readonly string[] {
  return origins.map((text) => {
    if (typeof text === 'string' && URL.canParse(text)) {
      const { origin, protocol } = new URL(text);
      const isWebSite = protocol === 'http:' || protocol === 'https:';
      if (isWebSite && (text === origin || text === `${origin}/`)) return origin;
    }
    throw new TypeError(
      `${JSON.stringify(text)} is no origin of a site. An origin is scheme, name and port: https://example.org.`,
    );
  });
}

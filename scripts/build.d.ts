/** Bundles the program into dist/. */
export function buildAll(): Promise<void>;
/** Text of bin/cli.cjs, and the sources that it imports from dist/. */
export function bundleCli(): Promise<{ text: string; imports: string[] }>;
/** Builds, unless dist/ is newer than all sources. */
export function ensureBuilt(): Promise<void>;

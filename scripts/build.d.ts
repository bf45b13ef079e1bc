/** Bundles the program into dist/. */
export function buildAll(): Promise<void>;
/** Text of bin/cli.cjs. */
export function bundleCli(): Promise<string>;
/** Builds, unless dist/ is newer than all sources. */
export function ensureBuilt(): Promise<void>;

/** Bundles the program into dist/. */
export function buildAll(): Promise<void>;
/** The text of bin/cli.cjs. */
export function bundleCli(): Promise<string>;
/** Builds, unless dist/ is newer than everything that it is made of. */
export function ensureBuilt(): Promise<void>;

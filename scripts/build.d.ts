/** Bundles the program into dist/. */
export function buildAll(): Promise<void>;
/** Builds, unless dist/ is newer than everything that it is made of. */
export function ensureBuilt(): Promise<void>;

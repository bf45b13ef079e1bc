/** Removes files with a hash in their name that no build of the last day has needed. */
export function sweep(folder: string, keep: ReadonlySet<string>, nowMs?: number): void;

/** Removes files with a hash in their name that builds before yesterday's have left in a folder. */
export function sweep(folder: string, keep: ReadonlySet<string>, nowMs?: number): void;

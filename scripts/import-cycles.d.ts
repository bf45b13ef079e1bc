/** The modules of one cycle, from the first to itself again, or null if there is none. */
export function findCycle(imports: ReadonlyMap<string, readonly string[]>): string[] | null;
/** For each TypeScript module of a folder, and each module that these import, the modules that it imports; packages left out. */
export function importsOf(folder: string): Promise<Map<string, string[]>>;

/** Program of the TypeScript compiler. */
export function compilerFile(): string;
/** Writes the declarations of the public entries to dist/types/. */
export function buildTypes(): void;

/** Debian packages that are missing here. */
export function missingPackages(exists?: (path: string) => boolean): string[];
/** Installs them. @returns null, or why images cannot be built here */
export function getContainerTools(): string | null;

export function missingPackages(): string[];
export function getContainerTools(): string | null;

export interface Temporary {
  readonly folder: string;
  /** Removes the folder. @returns names of the files and folders that were left in it */
  readonly remove: () => string[];
}
export function makeTemporary(prefix: string, parent?: string, nowMs?: number): Temporary;

export interface Temporary {
  readonly folder: string;
  /** Removes the folder. @returns the names of what was left in it */
  readonly remove: () => string[];
}
export function makeTemporary(prefix: string, parent?: string, nowMs?: number): Temporary;

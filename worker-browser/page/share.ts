const KEY = 'gradcast.share';
const SHARES: readonly string[] = ['25', '50', '75', '100'];
const ALL = '100';

/** The part of the browser's localStorage that is used here. */
interface Stored {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** The share of its time that this browser computes, in percent, as it was chosen last. */
export function rememberedShare(storage: () => Pick<Stored, 'getItem'>): string {
  try {
    const stored = storage().getItem(KEY);
    return stored !== null && SHARES.includes(stored) ? stored : ALL;
  } catch {
    // Browsers may be set to let pages store nothing.
    return ALL;
  }
}

export function rememberShare(storage: () => Pick<Stored, 'setItem'>, percent: string): void {
  try {
    storage().setItem(KEY, percent);
  } catch {
    // Then it holds until the tab is closed.
  }
}

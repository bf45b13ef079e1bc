const KEY = 'gradcast.share';
const SHARES: readonly string[] = ['25', '50', '75', '100'];
const DEFAULT_SHARE = '100';

/** The part of the browser's localStorage that is used here. */
interface KeyValueStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** The share of its time that this browser computes, in percent, as it was chosen last. */
export function loadShare(storage: () => Pick<KeyValueStore, 'getItem'>): string {
  try {
    const stored = storage().getItem(KEY);
    return stored !== null && SHARES.includes(stored) ? stored : DEFAULT_SHARE;
  } catch {
    // Browsers may be set to let pages store nothing.
    return DEFAULT_SHARE;
  }
}

export function saveShare(storage: () => Pick<KeyValueStore, 'setItem'>, percent: string): void {
  try {
    storage().setItem(KEY, percent);
  } catch {
    // Then it holds until the tab is closed.
  }
}

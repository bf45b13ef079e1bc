const KEY = 'gradcast.share';
const SHARES: readonly string[] = ['25', '50', '75', '100'];
const ALL = '100';

/** The share of its time that this browser computes, in percent, as it was chosen last. */
export function rememberedShare(storage: () => Pick<Storage, 'getItem'>): string {
  try {
    const stored = storage().getItem(KEY);
    return stored !== null && SHARES.includes(stored) ? stored : ALL;
  } catch {
    // Browsers may be set to let pages store nothing.
    return ALL;
  }
}

export function rememberShare(storage: () => Pick<Storage, 'setItem'>, percent: string): void {
  try {
    storage().setItem(KEY, percent);
  } catch {
    // Then it holds until the tab is closed.
  }
}

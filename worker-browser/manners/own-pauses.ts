/** Why the page pauses without being asked to: the battery is low, or the page was left and may come back. */
export type PauseCause = 'battery' | 'left';

/** What the page lets this do. */
export interface Pausable {
  /** Whether the tab takes part, or is about to. */
  readonly isParticipating: () => boolean;
  readonly pause: () => void;
  readonly join: () => void;
}

/** Pauses of the page's own. Each ends with what it began for, unless the person has decided otherwise meanwhile. */
export function createAutoPause({ isParticipating, pause, join }: Pausable) {
  let cause: PauseCause | null = null;
  return {
    /** @returns whether there was anything to pause */
    begin(why: PauseCause): boolean {
      if (!isParticipating()) return false;
      cause = why;
      pause();
      return true;
    },
    end(why: PauseCause): void {
      if (cause !== why) return;
      cause = null;
      if (!isParticipating()) join();
    },
    /** To be called when the page's state has changed: who goes on in spite of a pause has ended it. */
    settle(): void {
      if (isParticipating()) cause = null;
    },
  };
}

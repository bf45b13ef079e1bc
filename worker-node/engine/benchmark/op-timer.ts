/** Time of one op of a step on inputs of certain shapes. */
export interface OpTime {
  readonly op: string;
  /** Shapes of the inputs: '[128,28,28,1] [3,3,1,32]'. */
  readonly inputs: string;
  /** Number in one step. */
  readonly calls: number;
  /** Time of all calls in one step. */
  readonly ms: number;
}

export const formatShape = (shape: readonly number[]): string => `[${shape.join()}]`;

/** Sums the times of ops by op and by the shapes of its inputs. */
export class OpTimer {
  readonly #now: () => number;
  readonly #times = new Map<string, { op: string; inputs: string; calls: number; ms: number }>();
  #depth = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Runs an op. Ops that it runs itself count as its own time. */
  time<Result>(op: string, inputs: () => string, run: () => Result): Result {
    this.#depth++;
    const startedMs = this.#now();
    try {
      return run();
    } finally {
      const ms = this.#now() - startedMs;
      if (--this.#depth === 0) this.#add(op, inputs(), ms);
    }
  }

  /** Discards all times. */
  reset(): void {
    this.#times.clear();
  }

  /** @returns times per step, longest first */
  times(steps: number): OpTime[] {
    return [...this.#times.values()]
      .map((entry) => ({ ...entry, calls: entry.calls / steps, ms: entry.ms / steps }))
      .toSorted((a, b) => b.ms - a.ms);
  }

  #add(op: string, inputs: string, ms: number): void {
    const key = `${op} ${inputs}`;
    const entry = this.#times.get(key) ?? { op, inputs, calls: 0, ms: 0 };
    entry.calls++;
    entry.ms += ms;
    this.#times.set(key, entry);
  }
}

import { pickSamples, type Shard } from '../../shared/data/shard.ts';
import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Assignment } from './partition.ts';

/** An assignment, and the positions of the samples that its worker is to compute. */
interface Seat {
  readonly assignment: Assignment;
  readonly positions: number[];
}

/** Input of a round, as far as it is arranged. */
interface ArrangedInput {
  readonly batch: Shard;
  readonly isJobData?: boolean;
}

/** Puts the samples of batches into the ranges of workers that keep them. */
export class BatchArranger {
  readonly #pool: Pick<WorkerPool, 'workers'>;
  readonly #mayArrange: boolean;
  /** Batches as they were arranged first: samples of a batch that were prefetched must stay where they are. */
  readonly #arranged = new WeakMap<Shard, Shard>();

  constructor(pool: Pick<WorkerPool, 'workers'>, { mayArrange }: { readonly mayArrange: boolean }) {
    this.#pool = pool;
    this.#mayArrange = mayArrange;
  }

  /** The input with its batch arranged, unless workers keep none of its samples. */
  arrange<Input extends ArrangedInput>(input: Input, assignments: readonly Assignment[]): Input {
    if (!this.#mayArrange || input.isJobData !== true) return input;
    const { batch } = input;
    const { workers } = this.#pool;
    let arranged = this.#arranged.get(batch);
    if (arranged === undefined) {
      const { sampleNumbers } = batch;
      const order = arrangeBatch(sampleNumbers, assignments, (worker) => {
        const kept = workers.get(worker)?.keptSamples ?? null;
        return kept === null ? null : (number) => kept.has('train', number);
      });
      arranged =
        order === null
          ? batch
          : {
              ...pickSamples({ ...batch, count: sampleNumbers.length }, order),
              sampleNumbers: order.map((position) => sampleNumbers[position] as number),
            };
      this.#arranged.set(batch, arranged);
    }
    return { ...input, batch: arranged };
  }
}

/**
 * Orders the samples of a batch so that each worker's range has as many as possible of the samples that it keeps, which need not
 * be sent then. A batch is the same set of samples in any order.
 * @param numbers sample numbers of the batch
 * @param assignments ranges of the batch that workers are assigned
 * @param keptBy tells whether a worker keeps a sample; null if it keeps none
 * @returns positions in `numbers`, in their new order; null if there is nothing to gain
 */
export function arrangeBatch(
  numbers: Uint32Array,
  assignments: readonly Assignment[],
  keptBy: (worker: WorkerId) => ((number: number) => boolean) | null,
): Uint32Array | null {
  if (assignments.length < 2) return null;
  const seats = assignments.map((assignment): Seat => ({ assignment, positions: [] }));
  const freeSeats = ({ assignment, positions }: Seat): number =>
    assignment.to - assignment.from - positions.length;
  const place = (position: number, candidates: readonly Seat[]): boolean => {
    const [best] = candidates
      .filter((seat) => freeSeats(seat) > 0)
      .sort((a, b) => freeSeats(b) - freeSeats(a));
    best?.positions.push(position);
    return best !== undefined;
  };
  const holders = Array.from(numbers, (_, position) => ({ position, seats: [] as Seat[] }));
  // One worker after the other: a thousand of them ask for eight thousand samples each.
  for (const seat of seats) {
    const keeps = keptBy(seat.assignment.worker);
    if (keeps === null) continue;
    for (const holder of holders) {
      if (keeps(numbers[holder.position] as number)) holder.seats.push(seat);
    }
  }
  const kept = holders.filter(({ seats: own }) => own.length > 0);
  if (kept.length === 0) return null;
  // Samples that few workers keep choose first.
  const choosing = kept.toSorted((a, b) => a.seats.length - b.seats.length);
  const placed = new Set(choosing.filter(({ position, seats: own }) => place(position, own)));
  const others = holders.filter((holder) => !placed.has(holder)).map(({ position }) => position);
  const order = new Uint32Array(numbers.length);
  for (const seat of seats) {
    const { from } = seat.assignment;
    const own = [...seat.positions, ...others.splice(0, freeSeats(seat))];
    own.sort((a, b) => a - b).forEach((position, i) => (order[from + i] = position));
  }
  // Ranges that no worker is assigned yet keep the order of the batch.
  const isAssigned = new Uint8Array(numbers.length);
  for (const { from, to } of assignments) isAssigned.fill(1, from, to);
  const free = [...order.keys()].filter((at) => isAssigned[at] === 0);
  free.forEach((at, i) => (order[at] = others[i] as number));
  return order;
}

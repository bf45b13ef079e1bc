/** A place that a worker holds. */
export interface WorkerSlot {
  /** The network of the worker. */
  readonly networkBlock: string;
  /** When it was welcomed. */
  readonly sinceMs: number;
  readonly ready: boolean;
  /** Whether an answer of it has counted. */
  readonly hasComputed: boolean;
}

/** Most models are built by then. One that takes longer keeps its place while there are others. */
const READY_GRACE_MS = 15_000;
/** A worker that has not been given a shard by then is not needed now. */
const IDLE_GRACE_MS = 60_000;

/**
 * Which worker leaves for a newcomer when all places are taken: the one that has been getting ready for longest, in the
 * network that holds the most places; else, of a network that holds more than the newcomer's, one that has never
 * computed anything. Workers that have computed keep their places.
 * @param block the newcomer's network
 * @returns null if every place is in use
 */
export function slotToFree<P extends WorkerSlot>(places: readonly P[], block: string, nowMs: number): P | null {
  const held = new Map<string, number>();
  for (const place of places) held.set(place.networkBlock, (held.get(place.networkBlock) ?? 0) + 1);
  const heldBy = ({ networkBlock: network }: WorkerSlot): number => held.get(network) ?? 0;
  const first = (candidates: P[]): P | null =>
    candidates.sort((a, b) => heldBy(b) - heldBy(a) || a.sinceMs - b.sinceMs)[0] ?? null;
  const preparing = places.filter(({ ready, sinceMs }) => !ready && nowMs - sinceMs > READY_GRACE_MS);
  const idle = places.filter(
    (place) =>
      place.ready &&
      !place.hasComputed &&
      nowMs - place.sinceMs > IDLE_GRACE_MS &&
      heldBy(place) > (held.get(block) ?? 0) + 1,
  );
  return first(preparing) ?? first(idle);
}

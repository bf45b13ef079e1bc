import { secretsMatch } from '../server/access.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import { decodeFrame, MAX_WORKER_HEADER_BYTES } from '../../shared/protocol/frame.ts';
import { PROTOCOL_VERSION, type Hello } from '../../shared/protocol/messages.ts';
import { FACTORS } from '../../shared/codec/factors.ts';
import { negotiateCodecs, type CodecRule, FLOAT32_LINK, type LinkCodecs } from '../links/codecs.ts';

export interface AdmissionRules {
  /** Secret that clients must send. @default any client that reaches the port may join */
  readonly token?: string | undefined;
  readonly maxWorkers: number;
  /** Codecs for workers that support them. @default float32 in both directions */
  readonly codecs?: CodecRule | undefined;
}

/**
 * Checks whether a worker may join.
 * @param workers number of workers that hold a slot
 * @returns codecs of the worker's link
 * @throws ProtocolError with the close code and the reason for the worker
 */
export function admit(hello: Hello, rules: AdmissionRules, workers: number): LinkCodecs {
  checkToken(hello.token, rules);
  if (workers >= rules.maxWorkers) {
    throw new ProtocolError(CloseCode.noFreeSlot, `All ${rules.maxWorkers} worker slots are in use.`);
  }
  const { codecs = FLOAT32_LINK } = rules;
  // The coordinator requests factors for each shard, which needs codec switches.
  const supported = hello.codecs.filter((name) => name !== FACTORS || hello.switchCodecs === true);
  return negotiateCodecs(codecs === 'auto' ? FLOAT32_LINK : codecs, supported);
}

/** @throws ProtocolError (unauthorized) */
export function checkToken(token: string | undefined, rules: AdmissionRules): void {
  if (rules.token === undefined || secretsMatch(token ?? '', rules.token)) return;
  throw new ProtocolError(
    CloseCode.unauthorized,
    token === undefined
      ? 'This run needs a token. Use the whole link that the coordinator printed, or --token.'
      : 'Wrong token. Use the whole link that the coordinator printed, or its --token.',
  );
}

/**
 * Checks the protocol version before all other fields, since a hello of another version may have other fields.
 * @throws ProtocolError (unsupported)
 */
export function checkVersion(frame: Uint8Array): void {
  const { header } = decodeFrame(frame, MAX_WORKER_HEADER_BYTES);
  const isFirstMessage = isRecord(header) && (header.type === 'hello' || header.type === 'watch');
  const protocol = isFirstMessage ? header.protocol : undefined;
  if (typeof protocol === 'number' && protocol !== PROTOCOL_VERSION) {
    throw new ProtocolError(
      CloseCode.unsupported,
      `This coordinator uses protocol ${PROTOCOL_VERSION}, the worker protocol ${protocol}. Use a worker for protocol ${PROTOCOL_VERSION}, such as the coordinator's version of gradcast.`,
    );
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/** Slot of a worker: one of at most `maxWorkers`. */
export interface WorkerSlot {
  /** Network of the worker. */
  readonly networkBlock: string;
  /** Time of the welcome. */
  readonly sinceMs: number;
  readonly ready: boolean;
  /** Whether an answer of the worker was accepted. */
  readonly hasComputed: boolean;
}

/** Most models are built by then. A worker that takes longer may lose its slot to a new worker. */
const READY_GRACE_MS = 15_000;
/** A worker that was assigned no shard by then is not needed. */
const IDLE_GRACE_MS = 60_000;

/**
 * Selects the slot to free for a new worker when all slots are in use. First choice: a worker that has been preparing for too
 * long, in the network with the most slots. Second choice: a worker that never computed anything, in a network with more
 * slots than the new worker's. Workers that have computed keep their slots.
 * @param block network of the new worker
 * @returns null if no slot can be freed
 */
export function slotToFree<Slot extends WorkerSlot>(
  slots: readonly Slot[],
  block: string,
  nowMs: number,
): Slot | null {
  const slotCounts = new Map<string, number>();
  for (const { networkBlock } of slots) slotCounts.set(networkBlock, (slotCounts.get(networkBlock) ?? 0) + 1);
  const slotsIn = (networkBlock: string): number => slotCounts.get(networkBlock) ?? 0;
  const selectFrom = (candidates: Slot[]): Slot | null =>
    candidates.sort(
      (a, b) => slotsIn(b.networkBlock) - slotsIn(a.networkBlock) || a.sinceMs - b.sinceMs,
    )[0] ?? null;
  const preparing = slots.filter(({ ready, sinceMs }) => !ready && nowMs - sinceMs > READY_GRACE_MS);
  const idle = slots.filter(
    (slot) =>
      slot.ready &&
      !slot.hasComputed &&
      nowMs - slot.sinceMs > IDLE_GRACE_MS &&
      slotsIn(slot.networkBlock) > slotsIn(block) + 1,
  );
  return selectFrom(preparing) ?? selectFrom(idle);
}

import { secretsMatch } from '../server/access.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import { decodeFrame, MAX_WORKER_HEADER_BYTES } from '../../shared/protocol/frame.ts';
import { PROTOCOL_VERSION, type Hello } from '../../shared/protocol/messages.ts';
import { FACTORS } from '../../shared/codec/factors.ts';
import { negotiateCodecs, type CodecRule, FLOAT32_LINK, type LinkCodecs } from '../links/codecs.ts';

export interface AdmissionRules {
  /** Without one, whoever reaches the port may join. */
  readonly token?: string | undefined;
  readonly maxWorkers: number;
  /** How vectors travel to and from workers that know these codecs; all float32 without it. */
  readonly codecs?: CodecRule | undefined;
}

/**
 * Whether a worker may join.
 * @returns the codecs of its link
 * @throws ProtocolError with the code and the sentence that the worker is told
 */
export function admit(hello: Hello, rules: AdmissionRules, workers: number): LinkCodecs {
  checkToken(hello.token, rules);
  if (workers >= rules.maxWorkers) {
    throw new ProtocolError(CloseCode.noFreeSlot, `All ${rules.maxWorkers} places for workers are taken.`);
  }
  const { codecs = FLOAT32_LINK } = rules;
  // Factors have to be asked for, shard by shard.
  const known = hello.codecs.filter((name) => name !== FACTORS || hello.switchCodecs === true);
  return negotiateCodecs(codecs === 'auto' ? FLOAT32_LINK : codecs, known);
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
 * Looks at the version before anything else, since a hello of another version may have other fields.
 * @throws ProtocolError (unsupported)
 */
export function checkVersion(frame: Uint8Array): void {
  const { header } = decodeFrame(frame, MAX_WORKER_HEADER_BYTES);
  const greets = isRecord(header) && (header.type === 'hello' || header.type === 'watch');
  const protocol = greets ? header.protocol : undefined;
  if (typeof protocol === 'number' && protocol !== PROTOCOL_VERSION) {
    throw new ProtocolError(
      CloseCode.unsupported,
      `This coordinator speaks protocol ${PROTOCOL_VERSION}, the worker ${protocol}. Use a worker for protocol ${PROTOCOL_VERSION}: the coordinator's version of gradcast, or of the program that the worker is.`,
    );
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

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
export function slotToFree<P extends WorkerSlot>(
  places: readonly P[],
  block: string,
  nowMs: number,
): P | null {
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

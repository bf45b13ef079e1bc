import {
  bundlePath,
  describeCode,
  hashOf,
  isCodeHash,
  MAX_TRUSTED,
  moduleOf,
  verifyBundle,
  type CustomCode,
} from '../model/custom-code.ts';
import { formatCoordinatorLink } from '../protocol/coordinator-link.ts';
import type { Clock } from '../util/clock.ts';

/** How a worker comes by the custom code of jobs, and whether it runs it. */
export interface CustomCodeAccess {
  /** Hashes of the bundles that it runs if the coordinator sends them; they are in its hello. */
  readonly trusts: readonly string[];
  /** Whether other processes compute with the code, each with a limit of time of its own. @default false */
  readonly isPassedOn?: boolean;
  /**
   * Address from which the engine imports a job's code.
   * @param payload of the welcome: the code, if this worker trusts it; else empty
   * @throws Error with a sentence if this worker does not run the code
   */
  open(code: CustomCode, payload: Uint8Array): Promise<string>;
}

/**
 * Custom code that a person has named by its hash.
 * @param url ws: or wss: address of the coordinator, for the sentence of a worker that declines
 * @param command that is advised there
 * @throws TypeError with a sentence if a hash is none, or there are too many
 * @example
 * const customCode = trustedCode(['9f86d08...'], 'ws://192.168.1.20:2718/');
 */
export function trustedCode(
  trusts: readonly string[],
  url: string,
  command: 'worker' | 'relay' = 'worker',
): CustomCodeAccess {
  const page = formatCoordinatorLink({ url });
  const wrong = trusts.find((hash) => !isCodeHash(hash));
  if (wrong !== undefined)
    throw new TypeError(
      `${JSON.stringify(wrong)} is no SHA-256 of custom code: 64 hex digits in lower case.`,
    );
  if (trusts.length > MAX_TRUSTED) throw new TypeError(`A worker trusts at most ${MAX_TRUSTED} hashes.`);
  return {
    trusts,
    async open(code, payload) {
      const { hash } = code;
      // A payload without trust is not even looked at.
      if (!trusts.includes(hash)) {
        throw new Error(
          `The run computes with code that a person wrote (${describeCode(code)}), which this ${command} does not run unasked. ` +
            `Read it at ${page}${bundlePath(hash)}, then use: gradcast ${command} ${page} --trust ${hash}`,
        );
      }
      if (payload.length === 0) throw new Error('The coordinator has not sent the custom code of its job.');
      await verifyBundle(code, payload, 'The coordinator');
      if ((await hashOf(payload)) === null)
        throw new Error('This Node has no SHA-256, so the code is not run.');
      return moduleOf(payload);
    },
  };
}

/** The platform's place of a page. */
interface PageLocation {
  readonly origin: string;
}

/**
 * Custom code in a tab: that of the coordinator whose page it is, which could run any code in it anyway.
 * @param fetchBytes reads a file of the page's own origin
 * @example
 * const customCode = ownOriginCode(url, location, async (address) => new Uint8Array(await (await fetch(address)).arrayBuffer()));
 */
export function ownOriginCode(
  url: string,
  { origin }: PageLocation,
  fetchBytes: (address: string) => Promise<Uint8Array>,
): CustomCodeAccess {
  const page = formatCoordinatorLink({ url });
  return {
    trusts: [],
    async open(code) {
      if (!page.startsWith(`${origin}/`)) {
        throw new Error(
          `The run computes with code that a person wrote (${describeCode(code)}), which a page of ${origin} does not run. ` +
            `Open ${page} to take part.`,
        );
      }
      const address = `${page}${bundlePath(code.hash)}`;
      let bytes: Uint8Array;
      try {
        bytes = await fetchBytes(address);
      } catch (error) {
        throw new Error(`The custom code of the run cannot be loaded from ${address}.`, { cause: error });
      }
      await verifyBundle(code, bytes, address);
      return address;
    },
  };
}

/** Time for an engine to load custom code and the model that it is part of. */
export const LOAD_LIMIT_MS = 30_000;
/** Time for a shard of a job with custom code: the longest that a coordinator waits for a first shard. */
export const COMPUTE_LIMIT_MS = 180_000;

/** Custom code has not ended in its time: the thread of the engine is stuck, and has to be ended. */
export class StuckCodeError extends Error {
  override readonly name = 'StuckCodeError';
}

/**
 * Waits for an engine to work with custom code, but not for ever.
 * @param what what the code does, as part of a sentence
 * @throws StuckCodeError with a sentence when the time is over
 * @example
 * const computer = await withinLimit(clock, engine.load(job, module), LOAD_LIMIT_MS, 'was not loaded');
 */
export function withinLimit<Result>(
  clock: Clock,
  working: Promise<Result>,
  limitMs: number,
  what: string,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limitMs, () =>
      reject(new StuckCodeError(`The custom code of the run ${what} within ${limitMs / 1000} s.`)),
    );
    working.finally(cancel).then(resolve, reject);
  });
}

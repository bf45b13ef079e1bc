import type { CodeBundle } from '../../shared/model/custom-code.ts';
import type { Job } from '../../shared/model/job.ts';
import { LEFT, runWorker } from '../../shared/worker/connection-loop.ts';
import { trustedCode, type CustomCodeAccess } from '../../shared/worker/custom-code-access.ts';
import type { WorkerOptions } from '../../shared/worker/options.ts';
import { codecRuleFor, type CodecChoice } from '../links/codecs.ts';
import type { CoordinatorHost, HostedRunOptions } from '../hosting/coordinator.ts';
import type { Reporter } from '../report/reporter.ts';
import { RelayEngine } from './relay-engine.ts';

type Uplink = Pick<
  WorkerOptions,
  'url' | 'token' | 'fingerprint' | 'locate' | 'name' | 'connect' | 'clock' | 'random' | 'sampleStore'
>;
type Downlink = Pick<HostedRunOptions, 'audit' | 'openCoordinatorEngine' | 'usesBuckets' | 'switchesCodecs'>;

export interface RelayOptions extends Uplink, Downlink {
  /** Place where the relay's workers join, for any number of runs. It is closed at the end. */
  readonly host: CoordinatorHost;
  readonly version: string;
  /** Codecs of the links to the relay's workers; float32 in an exact run. @default 'float32' */
  readonly codec?: CodecChoice | undefined;
  /** Hashes of custom code that the relay passes on, and runs to check answers. @default none */
  readonly trust?: readonly string[] | undefined;
  readonly report: Reporter;
  /** Aborted to leave the run. */
  readonly signal: AbortSignal;
}

/**
 * Runs a relay: one worker of the run above, which has its shards computed by workers of its own. Without any, it leaves the run
 * above, which assigns its samples to others at once, and joins again as soon as there is one.
 * @returns reason for the end: of the run above, or LEFT
 * @throws RefusedError if the relay cannot take part in the run above
 */
export async function runRelay(options: RelayOptions): Promise<string> {
  const { host, name, version, clock, report, signal, audit, openCoordinatorEngine, usesBuckets } = options;
  const passedOn = passOnCode(options);
  let stay = new AbortController();
  const engine = new RelayEngine({
    info: { version, device: name },
    host,
    runOptions: (job) => ({
      report,
      audit,
      openCoordinatorEngine,
      usesBuckets,
      switchesCodecs: options.switchesCodecs,
      codecs: codecRuleFor(job, options.codec ?? 'float32'),
      customCode: passedOn.bundleOf(job),
    }),
    clock,
    signal,
    onUnable(why) {
      if (stay.signal.aborted || signal.aborted) return;
      report.warn(why, { event: 'unable' });
      stay.abort();
    },
  });
  let isOver = false;
  let reason = 'The relay has left.';
  try {
    for (;;) {
      stay = new AbortController();
      const end = await runWorker({
        ...options,
        engine,
        customCode: passedOn.access,
        report: {
          joined: ({ job }, url) =>
            report.info(`${name}: joined ${url}, ${job.data.name}, batch ${job.batchSize}`),
          computed: () => undefined,
          waiting: (line) => report.warn(line),
          note: (line) => report.info(line),
        },
        signal: AbortSignal.any([signal, stay.signal]),
        abandonsEngine: true,
      });
      // The other reason to have left is that there was no worker. A coordinator above may end its run with the same word.
      const hasLeft = end === LEFT && (signal.aborted || stay.signal.aborted);
      isOver = !hasLeft;
      if (isOver) reason = end;
      if (isOver || signal.aborted) return end;
    }
  } finally {
    await host.close(reason, !isOver);
  }
}

/** Custom code that the relay's workers are sent, too, if its person trusts it. */
function passOnCode({ trust = [], url }: Pick<RelayOptions, 'trust' | 'url'>): {
  access: CustomCodeAccess;
  bundleOf: (job: Job) => CodeBundle | undefined;
} {
  const trusted = trustedCode(trust, url, 'relay');
  let bundle: CodeBundle | undefined;
  return {
    access: {
      trusts: trusted.trusts,
      isPassedOn: true,
      async open(code, payload) {
        const module = await trusted.open(code, payload);
        bundle = { code, bytes: payload.slice(), module };
        return module;
      },
    },
    bundleOf: ({ customCode }) => (customCode === undefined ? undefined : bundle),
  };
}

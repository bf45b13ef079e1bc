import { pause, type Clock } from '../../../shared/util/clock.ts';
import { runProcesses, type ProcessGroupOptions, type WorkerSpec } from '../../processes/run-processes.ts';
import type { BackgroundInstall } from './background-install.ts';
import { RunForecast } from './install-decision.ts';

/** How long native workers may take to compute for the first time before the others leave all the same. */
const SWITCH_TIMEOUT_MS = 20_000;

export interface UpgradeOptions extends Omit<ProcessGroupOptions, 'onMessage'> {
  /** The workers that take over once the engine is installed. */
  readonly nativeWorkers: readonly WorkerSpec[];
  /** Asked after each step: whether an installation is worth its while. @param remainingMs of the run; null if that is not known yet */
  readonly shouldInstall: (remainingMs: number | null) => boolean;
  /** Installs native TensorFlow; never rejects. */
  readonly install: (signal: AbortSignal) => Promise<BackgroundInstall>;
  readonly clock: Clock;
}

/**
 * Runs WebAssembly workers at once, and native ones in their place when native TensorFlow is installed. The run goes on
 * meanwhile: native workers join it, and the others leave after the native ones have computed.
 * @returns the exit code of the workers that were there at the end
 */
export async function runWithEngineUpgrade(options: UpgradeOptions): Promise<number> {
  const { signal, note, clock, nativeWorkers, shouldInstall, install } = options;
  /** Aborted when the native workers have taken over. */
  const replaced = new AbortController();
  /** Aborted when the run ends before that. */
  const over = new AbortController();
  const progress = new RunForecast();
  const started: { native?: Promise<number>; switching?: Promise<void> } = {};

  const startNative = async (): Promise<void> => {
    const waiting = new Set(nativeWorkers.map(({ name }) => name));
    const settled = new AbortController();
    let settle = (_: boolean): void => undefined;
    const ready = new Promise<boolean>((resolve) => (settle = resolve));
    started.native = runProcesses({
      ...options,
      workers: nativeWorkers,
      signal: AbortSignal.any([signal, over.signal]),
      onMessage: ({ type }, { name }) => {
        if (type === 'computed' && waiting.delete(name) && waiting.size === 0) settle(true);
        if (type === 'joined') {
          void pause(clock, SWITCH_TIMEOUT_MS, AbortSignal.any([over.signal, settled.signal])).then(() =>
            settle(true),
          );
        }
      },
    });
    void started.native.then(() => settle(false));
    const isReady = await ready;
    settled.abort();
    if (over.signal.aborted || signal.aborted) return;
    if (isReady) {
      note('Native TensorFlow is ready: its workers have joined, the WebAssembly workers leave.');
      replaced.abort();
    } else {
      note('The native workers ended before they computed; the WebAssembly workers stay.');
    }
  };

  const installAndSwitch = async (): Promise<void> => {
    note(
      'Installing native TensorFlow beside the training, which goes on (--install-native never declines).',
    );
    const result = await install(AbortSignal.any([signal, over.signal]));
    if (over.signal.aborted || signal.aborted) return;
    if (result.done) await startNative();
    else note(`Native TensorFlow could not be installed: ${result.why} The WebAssembly workers stay.`);
  };

  const code = await runProcesses({
    ...options,
    signal: AbortSignal.any([signal, replaced.signal]),
    onMessage: (message) => {
      if (started.switching !== undefined) return;
      if (message.type === 'joined') {
        progress.onJoined(message.totalSteps);
        return;
      }
      if (message.type !== 'computed' || progress.isEngineFixed) return;
      if (shouldInstall(progress.onComputed(message.step, clock.now())))
        started.switching = installAndSwitch();
    },
  });
  if (!replaced.signal.aborted) over.abort();
  await started.switching;
  const nativeCode = await started.native;
  return replaced.signal.aborted ? (nativeCode ?? code) : code;
}

import { pause, type Clock } from '../../../shared/util/clock.ts';
import { runProcesses, type ProcessGroupOptions, type WorkerSpec } from '../../processes/run-processes.ts';
import type { BackgroundInstall } from './background-install.ts';
import { RunForecast } from './install-decision.ts';

/** Time from the first native worker's join after which the WebAssembly workers leave, even if not all native ones compute. */
const SWITCH_TIMEOUT_MS = 20_000;

export interface UpgradeOptions extends Omit<ProcessGroupOptions, 'onMessage'> {
  /** Workers that take over once the engine is installed. */
  readonly nativeWorkers: readonly WorkerSpec[];
  /**
   * Decides after each step whether to install.
   * @param remainingMs remaining time of the run; null if it is not known yet
   */
  readonly shouldInstall: (remainingMs: number | null) => boolean;
  /** Installs native TensorFlow; never rejects. */
  readonly install: (signal: AbortSignal) => Promise<BackgroundInstall>;
  readonly clock: Clock;
}

/**
 * Starts WebAssembly workers at once, and replaces them by native ones when native TensorFlow is installed. The run is not
 * interrupted: native workers join it, and the others leave after the native ones have computed.
 * @returns the exit code of the workers that were running at the end
 */
export async function runWithEngineUpgrade(options: UpgradeOptions): Promise<number> {
  const { signal, note, clock, nativeWorkers, shouldInstall, install } = options;
  /** Aborted when the native workers take over. */
  const replacement = new AbortController();
  /** Aborted when the run ends before that. */
  const over = new AbortController();
  const forecast = new RunForecast();
  const started: { native?: Promise<number>; switching?: Promise<void> } = {};

  const startNative = async (): Promise<void> => {
    const pending = new Set(nativeWorkers.map(({ name }) => name));
    const settled = new AbortController();
    let settle = (_: boolean): void => undefined;
    const ready = new Promise<boolean>((resolve) => (settle = resolve));
    started.native = runProcesses({
      ...options,
      workers: nativeWorkers,
      signal: AbortSignal.any([signal, over.signal]),
      onMessage: ({ type }, { name }) => {
        if (type === 'computed' && pending.delete(name) && pending.size === 0) settle(true);
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
      replacement.abort();
    } else {
      note('The native workers ended before they computed; the WebAssembly workers stay.');
    }
  };

  const installAndSwitch = async (): Promise<void> => {
    note('Installing native TensorFlow while training continues (--install-native never declines).');
    const result = await install(AbortSignal.any([signal, over.signal]));
    if (over.signal.aborted || signal.aborted) return;
    if (result.done) await startNative();
    else note(`Native TensorFlow could not be installed: ${result.why} The WebAssembly workers stay.`);
  };

  const code = await runProcesses({
    ...options,
    signal: AbortSignal.any([signal, replacement.signal]),
    onMessage: (message) => {
      if (started.switching !== undefined) return;
      if (message.type === 'joined') {
        forecast.onJoined(message.totalSteps);
        return;
      }
      if (message.type !== 'computed' || forecast.isEngineFixed) return;
      if (shouldInstall(forecast.onComputed(message.step, clock.now())))
        started.switching = installAndSwitch();
    },
  });
  if (!replacement.signal.aborted) over.abort();
  await started.switching;
  const nativeCode = await started.native;
  return replacement.signal.aborted ? (nativeCode ?? code) : code;
}

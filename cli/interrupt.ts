import { Socket } from 'node:net';
import { ExitCode } from '../shared/util/exit-codes.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
type StopSignal = (typeof SIGNALS)[number];

/** Number of listeners that end a command in order. Without one, bin/gradcast.js ends the process at once. */
export interface SignalOwners {
  owners: number;
}

let counted: SignalOwners = { owners: 0 };

/** Counts the listeners from now on. */
export const countSignalOwners = (signals: SignalOwners): void => void (counted = signals);

export interface InterruptOptions {
  /** Signals that stop the command; it ignores the others. @default all */
  readonly signals?: readonly StopSignal[];
  /** Signals that end the process at once when the command is stopping already. @default none */
  readonly forceExitOn?: readonly StopSignal[];
  /** Whether the end of stdin stops the command too: it closes when the parent process ends, however that ends. */
  readonly stopsWithStdin?: boolean;
  /** Called when the command is told to stop. */
  readonly onInterrupt?: () => void;
  /** Called just before the process ends at once. */
  readonly onForceExit?: () => void;
}

export interface Interrupt {
  /** Aborted when the command is told to stop. */
  readonly signal: AbortSignal;
  /** The signal that stopped the command; null while it runs, and if the end of stdin stopped it. */
  readonly stoppedBy: StopSignal | null;
  dispose(): void;
}

/** Listens for Ctrl-C (SIGINT), SIGTERM and the end of the terminal (SIGHUP). */
export function listenForInterrupts({
  signals = SIGNALS,
  forceExitOn = [],
  stopsWithStdin = false,
  onInterrupt,
  onForceExit,
}: InterruptOptions = {}): Interrupt {
  const controller = new AbortController();
  let stoppedBy: StopSignal | null = null;
  const stop = (signal: StopSignal | null): void => {
    if (controller.signal.aborted) return;
    stoppedBy = signal;
    controller.abort();
    onInterrupt?.();
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    const received = SIGNALS.find((name) => name === signal) ?? null;
    if (received === null || !signals.includes(received)) return;
    if (controller.signal.aborted && forceExitOn.includes(received)) {
      onForceExit?.();
      process.exit(ExitCode.interrupted);
    }
    stop(received);
  };
  const onStdinClosed = (): void => stop(null);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  counted.owners++;
  let isDisposed = false;
  if (stopsWithStdin) {
    process.stdin.resume().once('close', onStdinClosed);
    // Stdin alone must not keep a process alive that has nothing left to do.
    if (process.stdin instanceof Socket) process.stdin.unref();
  }
  return {
    signal: controller.signal,
    get stoppedBy() {
      return stoppedBy;
    },
    dispose() {
      if (isDisposed) return;
      isDisposed = true;
      counted.owners--;
      for (const signal of SIGNALS) process.off(signal, onSignal);
      if (stopsWithStdin) process.stdin.off('close', onStdinClosed).destroy();
    },
  };
}

/** The part of a reporter that an interrupted command uses. */
interface InterruptReporter {
  warn(line: string): void;
  close(): void;
}

/**
 * Stops a command in order at the first signal, and ends the process at once at the second.
 * @param describe returns a sentence that says what the command does after the first signal
 */
export function interruptWithNotice(report: InterruptReporter, describe: () => string): Interrupt {
  return listenForInterrupts({
    forceExitOn: SIGNALS,
    onInterrupt: () => report.warn(`${describe()} Ctrl-C again stops at once.`),
    onForceExit: () => report.close(),
  });
}

/** Resolves at the first signal. */
export function waitForInterrupt(): Promise<void> {
  return new Promise((resolve) => {
    const interrupt = listenForInterrupts({
      onInterrupt() {
        interrupt.dispose();
        resolve();
      },
    });
  });
}

/**
 * Runs work that a signal stops.
 * @returns null if it was stopped
 */
export async function runInterruptible<Result>(
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result | null> {
  const interrupt = listenForInterrupts();
  const { signal } = interrupt;
  try {
    const result = await work(signal);
    if (!signal.aborted) return result;
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    interrupt.dispose();
  }
  return null;
}

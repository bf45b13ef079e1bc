import { afterEach, expect, test, vi } from 'vitest';
import {
  interruptWithNotice,
  listenForInterrupts,
  runInterruptible,
  waitForInterrupt,
  type Interrupt,
} from '../../cli/interrupt.ts';
import { ExitCode } from '../../shared/util/exit-codes.ts';

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;
const before = SIGNALS.map((signal) => process.listenerCount(signal));
const opened: Interrupt[] = [];
const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);

/** Delivers a signal to this process's listeners alone. */
const send = (signal: (typeof SIGNALS)[number]) => process.emit(signal, signal);
const listen = (...options: Parameters<typeof listenForInterrupts>): Interrupt => {
  const interrupt = listenForInterrupts(...options);
  opened.push(interrupt);
  return interrupt;
};

afterEach(() => {
  opened.splice(0).forEach((interrupt) => interrupt.dispose());
  exit.mockClear();
  expect(SIGNALS.map((signal) => process.listenerCount(signal))).toEqual(before);
});

test('the first signal aborts, and later ones change nothing', () => {
  const onInterrupt = vi.fn();
  const interrupt = listen({ onInterrupt });
  expect([interrupt.signal.aborted, interrupt.stoppedBy]).toEqual([false, null]);
  send('SIGTERM');
  send('SIGHUP');
  expect([interrupt.signal.aborted, interrupt.stoppedBy]).toEqual([true, 'SIGTERM']);
  expect(onInterrupt).toHaveBeenCalledOnce();
  expect(exit).not.toHaveBeenCalled();
});

test('signals that are not listed do not stop the command', () => {
  const interrupt = listen({ signals: ['SIGTERM'] });
  send('SIGHUP');
  expect(interrupt.signal.aborted).toBe(false);
  send('SIGTERM');
  expect(interrupt.signal.aborted).toBe(true);
});

test('only a second signal of forceExitOn ends the process', () => {
  listen({ forceExitOn: ['SIGHUP'] });
  send('SIGHUP');
  send('SIGTERM');
  expect(exit).not.toHaveBeenCalled();
  send('SIGHUP');
  expect(exit).toHaveBeenCalledExactlyOnceWith(ExitCode.interrupted);
});

test('a command with a notice says once what it does, and closes its report before it ends at once', () => {
  const report = { warn: vi.fn(), close: vi.fn() };
  opened.push(interruptWithNotice(report, () => 'Stopping.'));
  send('SIGTERM');
  expect(report.warn).toHaveBeenCalledExactlyOnceWith('Stopping. Ctrl-C again stops at once.');
  expect(report.close).not.toHaveBeenCalled();
  send('SIGHUP');
  expect(report.close).toHaveBeenCalledOnce();
  expect(exit).toHaveBeenCalledExactlyOnceWith(ExitCode.interrupted);
});

test('work that a signal stops has no result, also if it fails; other errors are thrown', async () => {
  expect(await runInterruptible(() => Promise.resolve(7))).toBe(7);
  const stopped = runInterruptible(async (signal) => {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    throw new Error('cancelled');
  });
  send('SIGHUP');
  expect(await stopped).toBeNull();
  await expect(runInterruptible(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
});

test('waiting ends with the first signal', async () => {
  const waiting = waitForInterrupt();
  send('SIGHUP');
  await waiting;
});

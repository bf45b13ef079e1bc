import { MultiBar, type SingleBar } from 'cli-progress';
import type { Clock } from '../../shared/clock.ts';
import { duration, epochLine, remainingSeconds, summaryOf, type Progress, type Report } from './report.ts';

/** A live bar per epoch, as Keras draws it; everything else appears above it. */
export function terminalReport(stream: NodeJS.WriteStream, clock: Clock): Report {
  let bars: MultiBar | null = null;
  let bar: SingleBar | null = null;
  let barLabel = '';
  let epochStartedMs = clock.now();

  const write = (line: string): void => {
    if (bars === null) stream.write(`${line}\n`);
    else bars.log(`${line}\n`);
  };
  const startBar = (label: string, total: number, format: string): void => {
    stopBar();
    bars = new MultiBar({
      format,
      stream,
      barCompleteChar: '=',
      barIncompleteChar: '.',
      barsize: 25,
      hideCursor: true,
      clearOnComplete: true,
      stopOnComplete: false,
      fps: 10,
      gracefulExit: false,
    });
    bar = bars.create(total, 0, { label, text: '' });
    barLabel = label;
  };
  const stopBar = (): void => {
    bars?.update();
    bars?.stop();
    bars = bar = null;
    barLabel = '';
  };

  return {
    info: (line) => write(line),
    warn: (line) => write(`! ${line}`),
    progress(label, done, total) {
      if (label !== barLabel)
        startBar(label, total ?? 0, '{label} [{bar}] {percentage}% - ETA: {eta_formatted}');
      if (total !== undefined) bar?.setTotal(total);
      bar?.update(done);
      if (done === total) stopBar();
    },
    epochStarted(epoch, epochs, steps) {
      stopBar();
      write(`Epoch ${epoch}/${epochs}`);
      epochStartedMs = clock.now();
      startBar(`epoch ${epoch}`, steps, '{value}/{total} [{bar}] - {text}');
    },
    stepFinished(progress: Progress) {
      const eta = duration(remainingSeconds(progress, (clock.now() - epochStartedMs) / 1000));
      bar?.update(progress.step, { text: `ETA: ${eta} - ${summaryOf(progress)}` });
    },
    epochFinished(record, _epochs, steps) {
      stopBar();
      write(`${steps}/${steps} - ${epochLine(record)}`);
    },
    close: stopBar,
  };
}

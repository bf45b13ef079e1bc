import { expect, it } from 'vitest';
import { EtaForecast } from '../../../coordinator/report/eta.ts';
import { manualClock } from '../../support/manual-clock.ts';

function open() {
  const clock = manualClock();
  const forecast = new EtaForecast(clock);
  /** Finishes a range of steps, each after `ms` milliseconds. */
  const steps = async (from: number, to: number, ms: number): Promise<void> => {
    for (let step = from; step <= to; step++) {
      await clock.advance(ms);
      forecast.stepFinished(step);
    }
  };
  return { clock, forecast, steps };
}

it('the remaining time of epoch and run follows from the duration of the steps', async () => {
  const { forecast, steps } = open();
  expect(forecast.eta).toEqual({ epochSeconds: 0, runSeconds: 0 });
  forecast.epochStarted(1, 3, 100);
  await steps(1, 20, 1_000);
  expect(forecast.eta).toEqual({ epochSeconds: 80, runSeconds: 280 });
});

it('the remaining time of the run includes an evaluation after each epoch', async () => {
  const { clock, forecast, steps } = open();
  for (const epoch of [1, 2]) {
    forecast.epochStarted(epoch, 3, 10);
    await steps(1, 10, 1_000);
    await clock.advance(5_000);
    forecast.epochFinished();
  }
  forecast.epochStarted(3, 3, 10);
  await steps(1, 1, 1_000);
  expect(forecast.eta).toEqual({ epochSeconds: 9, runSeconds: 14 });
});

it('the first step, which waits for engines, does not count after a few more', async () => {
  const { forecast, steps } = open();
  forecast.epochStarted(1, 1, 104);
  await steps(1, 1, 12_000);
  await steps(2, 4, 100);
  expect(forecast.eta.epochSeconds).toBeCloseTo(10);
});

it('a change of the throughput shows within a hundred steps', async () => {
  const { forecast, steps } = open();
  forecast.epochStarted(1, 1, 1_000);
  await steps(1, 200, 1_000);
  await steps(201, 300, 100);
  expect(forecast.eta.epochSeconds).toBeCloseTo(70);
});

it('a run that resumes in mid-epoch counts the steps of this session only', async () => {
  const { forecast, steps } = open();
  forecast.epochStarted(1, 1, 100);
  await steps(91, 91, 1_000);
  expect(forecast.eta.epochSeconds).toBe(9);
});

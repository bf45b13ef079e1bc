import { expect, it } from 'vitest';
import { EtaForecast } from '../../../coordinator/report/eta.ts';
import { manualClock } from '../../support/manual-clock.ts';

it('the end of the epoch and of the run follow from the duration of the steps', async () => {
  const clock = manualClock();
  const forecast = new EtaForecast(clock);
  expect(forecast.eta).toEqual({ epochSeconds: 0, runSeconds: 0 });
  forecast.epochStarted(1, 3, 100);
  for (let step = 1; step <= 20; step++) {
    await clock.advance(1_000);
    forecast.stepFinished(step);
  }
  expect(forecast.eta).toEqual({ epochSeconds: 80, runSeconds: 280 });
});

it('what is measured after each epoch is a part of the run', async () => {
  const clock = manualClock();
  const forecast = new EtaForecast(clock);
  for (const epoch of [1, 2]) {
    forecast.epochStarted(epoch, 3, 10);
    for (let step = 1; step <= 10; step++) {
      await clock.advance(1_000);
      forecast.stepFinished(step);
    }
    await clock.advance(5_000);
    forecast.epochFinished();
  }
  forecast.epochStarted(3, 3, 10);
  await clock.advance(1_000);
  forecast.stepFinished(1);
  expect(forecast.eta).toEqual({ epochSeconds: 9, runSeconds: 14 });
});

it('the first step, which waits for engines, does not count once there are others', async () => {
  const clock = manualClock();
  const forecast = new EtaForecast(clock);
  forecast.epochStarted(1, 1, 104);
  await clock.advance(12_000);
  forecast.stepFinished(1);
  for (let step = 2; step <= 4; step++) {
    await clock.advance(100);
    forecast.stepFinished(step);
  }
  expect(forecast.eta.epochSeconds).toBeCloseTo(10);
});

it('a throughput that changes shows within a hundred steps', async () => {
  const clock = manualClock();
  const forecast = new EtaForecast(clock);
  forecast.epochStarted(1, 1, 1_000);
  for (let step = 1; step <= 300; step++) {
    await clock.advance(step <= 200 ? 1_000 : 100);
    forecast.stepFinished(step);
  }
  expect(forecast.eta.epochSeconds).toBeCloseTo(70);
});

it('a run that resumes in mid-epoch counts the steps of this session only', async () => {
  const clock = manualClock();
  const forecast = new EtaForecast(clock);
  forecast.epochStarted(1, 1, 100);
  await clock.advance(1_000);
  forecast.stepFinished(91);
  expect(forecast.eta.epochSeconds).toBe(9);
});
